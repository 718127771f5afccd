"""A trained model as it is used: one graph from raw clips to embeddings, and what it says about itself.

Here it is taken from a model folder, and read back from a file of tensors; `training.export` writes such files.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from storage.errors import SettingsError, StoreError, WeightsError
from storage.settings import Settings
from storage.store.manifests import file_digest
from training.files import load_tensors, load_weights, read_description
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.names import is_own
from training.model.encoders.start import load_encoder
from training.model.encoders.trunk import Composition, Trunk
from training.model.reid_model import Features, embedding, fusion_heads, neck_of
from training.model.temporal import TemporalModelling
from training.settings import MODEL, SETTINGS, EmbedSettings, EncoderSettings, Part, Scale

ABOUT = "csip"  # the one key of a file's metadata: several would be written in no fixed order
TRAINING_ONLY = ("from_joints", "skeleton_talk", "guided_norm", "guide_norm", "guide")  # of SGTM: skeletons

Embed = Callable[[Tensor, Tensor], Tensor]
"""Clips (B, T, 3, H, W) uint8 and camera ids, (B,) int64 or one for all, to embeddings (B, C) float32 on the CPU.

Those of a tracklet's clips are averaged as they are, then L2-normalised.
"""


class EmbedWeighted(Protocol):
    """An `Embed` that can be told how much each frame of the clips counts, (B, T); all the same without."""

    def __call__(self, clips: Tensor, camids: Tensor, weights: Tensor | None = None) -> Tensor: ...


class About(Settings):
    """What an exported model says about itself; JSON under `csip` in its file's metadata."""

    format: Literal[2] = Field(2, description="Version of what csip exports: this metadata, inputs and output.")
    kind: Literal["visual", "finetuned"] = Field(description="The visual encoder alone, or the finetuned ReID model.")
    image_height: int = Field(description="H of clips, pixels.")
    image_width: int = Field(description="W of clips, pixels.")
    cameras: tuple[int, ...] = Field((), description="Cameras with a learned vector; another one adds nothing.")
    embedding_width: int = Field(description="C, the width of embeddings.")
    mean: tuple[float, ...] = Field(description="Of R, G, B from 0 to 1; subtracted inside the graph.")
    std: tuple[float, ...] = Field(description="Of R, G, B from 0 to 1; divided by inside the graph.")
    parts: tuple[Part, ...] = Field(description="Clip features that the embedding is made of, side by side.")
    scale: Scale = Field(description="How each of them is scaled before.")
    encoder: EncoderSettings = Field(description="The visual encoder's settings.")
    weights_sha256: str = Field(description="Of the model.safetensors that was exported.")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of clips, pixels."""
        return self.image_height, self.image_width

    @property
    def made_of(self) -> Composition:
        """What the embedding is made of."""
        return Composition(self.parts, self.scale)

    @property
    def embeds_as(self) -> str:
        """The same of two models that give the same embeddings: weights, parts and scale."""
        return f"{self.weights_sha256} {'+'.join(self.parts)} {self.scale}"

    def as_json(self) -> str:
        """One line, the same for the same model; nothing of the machine that it was made on."""
        return json.dumps(self.model_dump(mode="json", exclude={"encoder": {"weights"}}), sort_keys=True)


class _Visual(BaseModel):
    """What the settings.yaml of a `visual` folder must hold; more may be there."""

    kind: str
    encoder: EncoderSettings
    cameras: tuple[int, ...] = ()
    use_sgtm: bool = False


class _Finetuned(_Visual):
    """Of a `finetuned` folder."""

    cameras: tuple[int, ...]
    use_sgtm: bool


KINDS: dict[str, type[_Visual]] = {"visual": _Visual, "finetuned": _Finetuned}


class InferenceModel(nn.Module):
    """Raw clips to embeddings, without skeletons, as one graph.

    Args:
        visual: the visual encoder.
        made_of: the embedding; SGTM and necks are there if it needs them.
    """

    mean: Tensor
    std: Tensor
    cameras: Tensor

    def __init__(self, visual: VisualEncoder, made_of: Composition) -> None:
        super().__init__()
        self.trunk, self.camera_vectors = visual.trunk, visual.camera_vectors
        self.made_of, self.size = made_of, self.trunk.size
        d, p = self.trunk.token_width, self.trunk.projected_width
        widths = {part: p if part == "projected" else d for part in made_of.parts}
        self.width = sum(widths.values())
        self.sgtm = TemporalModelling(d, p, fusion_heads(d)) if "temporal" in widths else None
        if self.sgtm is not None:
            for name in TRAINING_ONLY:
                delattr(self.sgtm, name)
        necked = widths if made_of.scale == "neck" else {}
        self.necks = nn.ModuleDict({part: neck_of(width) for part, width in necked.items()})
        for name, buffer in visual.named_buffers(recurse=False):
            self.register_buffer(name, buffer, persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, clips: Tensor, camids: Tensor, weights: Tensor | None = None) -> Tensor:
        """Embeddings, (B, C) float32, not normalised, of clips (B, T, 3, H, W) uint8 RGB by cameras (B,) int64.

        `weights` (B, T) above 0 say how much each frame counts in its clip; all the same without.
        """
        b, t = clips.shape[0], clips.shape[1]
        frames = (clips.flatten(0, 1).float() - self.mean) / self.std
        tokens, projected = self.trunk(frames, self._camera_shift(camids, t))
        tokens, projected = tokens.unflatten(0, (b, t)), projected.unflatten(0, (b, t))
        temporal = _mean(self.sgtm(tokens).frames, weights) if self.sgtm is not None else None
        features = Features(_mean(tokens[:, :, 0], weights), _mean(projected[:, :, 0], weights), temporal)
        return embedding(features, self.made_of, dict(self.necks.items()))

    def _camera_shift(self, camids: Tensor, frames: int) -> Tensor | None:
        if self.camera_vectors is None:
            return None  # the graph keeps the input, so that all exports are called alike
        shift = (camids[:, None] == self.cameras).float() @ self.camera_vectors  # (B, D); zero for an unseen camera
        return shift[:, None].expand(-1, frames, -1).flatten(0, 1)


def _mean(frames: Tensor, weights: Tensor | None) -> Tensor:
    """Of frame features (B, T, C), a clip's, (B, C)."""
    if weights is None:
        return frames.mean(1)
    return (frames * (weights / weights.sum(1, keepdim=True))[..., None]).sum(1)


def load_embedder(
    folder: Path | None, encoder: EncoderSettings, settings: EmbedSettings, device: str
) -> tuple[EmbedWeighted, InferenceModel]:
    """The model of a folder (`visual` or `finetuned`) on a device, or of the encoder's pretrained weights (None).

    Raises:
        StoreError, WeightsError, SettingsError: as `load_inference_model`; the pretrained weights cannot be had or do
            not fit.
    """
    if folder is not None:
        model, _ = load_inference_model(folder, settings)
    else:
        visual = load_encoder(None, encoder)
        model = InferenceModel(visual, visual.trunk.ranked_by)
    return _embed(model, device), model


def load_inference_model(folder: Path, settings: EmbedSettings) -> tuple[InferenceModel, About]:
    """The inference model of a model folder (`visual` or `finetuned`), on the CPU, for evaluation, without gradients.

    Args:
        folder: of the model.
        settings: what the embedding of a finetuned model is made of.

    Raises:
        StoreError: the folder's files are missing or damaged.
        WeightsError: it is no ReID model, or its tensors do not fit.
        SettingsError: the settings name a part that the model does not have.
    """
    said = _description(folder)
    state = load_tensors(folder / MODEL)
    if said.kind == "finetuned":  # there, trunk and camera vectors are the visual encoder's, beside SGTM and heads
        state = {_name_here(name): value for name, value in state.items()}
    model = _untrained(said, settings)
    load_weights(model, {name: state[name] for name in model.state_dict() if name in state}, folder / MODEL)
    return model, _about(folder, model)


def _name_here(name: str) -> str:
    return re.sub(r"^heads\.(\w+)\.neck\.", r"necks.\1.", name).removeprefix("visual.")


def _untrained(said: _Visual, settings: EmbedSettings) -> InferenceModel:
    visual = VisualEncoder(said.encoder, said.cameras)
    return InferenceModel(visual, _made_of(said, visual.trunk, settings))


def _made_of(said: _Visual, trunk: Trunk, settings: EmbedSettings) -> Composition:
    if said.kind == "visual":
        return trunk.ranked_by
    usual = trunk.finetuned
    if "temporal" in (settings.parts or ()) and not said.use_sgtm:
        raise SettingsError(
            "this model was trained without SGTM, and so has no temporal part",
            where=f"embed.parts={','.join(settings.parts or ())}",
            fix="leave it out, or train with finetune.use_sgtm=true",
        )
    parts = settings.parts or tuple(part for part in usual.parts if part != "temporal" or said.use_sgtm)
    return Composition(parts, settings.scale or usual.scale)


def _embed(model: InferenceModel, device: str | torch.device) -> EmbedWeighted:
    model.to(device)

    @torch.inference_mode()
    def embed(clips: Tensor, camids: Tensor, weights: Tensor | None = None) -> Tensor:
        given = () if weights is None else (weights.to(device),)
        found: Tensor = model(clips.to(device), camids.expand(len(clips)).to(device), *given)
        return found.cpu()

    return embed


def load_exported(path: Path, device: str | torch.device = "cpu") -> tuple[Embed, About]:
    """The model of a `.safetensors` that `csip export` wrote, on a device.

    Raises:
        WeightsError: the file is missing, damaged, of a later format, or not written by `csip export`.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read an exported model: {error}", where=path, fix="export it again") from error
    about = read_about(metadata, path)
    model = InferenceModel(VisualEncoder(about.encoder, about.cameras), about.made_of)
    load_weights(model, state, path)
    return _embed(model, device), about


def read_about(metadata: Mapping[str, str], where: Path) -> About:
    """What the metadata of an exported file says.

    Raises:
        WeightsError: the file was not written by `csip export`, or by one of another format.
    """
    try:
        return About(**json.loads(metadata[ABOUT]))
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            "this is no model of `csip export`, or one of another format version",
            where=where,
            fix="export it again with this csip: csip export MODEL_FOLDER --format safetensors",
        ) from error


def described(folder: Path, settings: EmbedSettings) -> About:
    """What model a folder (`visual` or `finetuned`) holds.

    Raises:
        StoreError: the folder's files are missing or damaged.
        WeightsError: it is no ReID model.
        SettingsError: the settings name a part that it does not have.
    """
    with torch.device("meta"):
        return _about(folder, _untrained(_description(folder), settings))


def _about(folder: Path, model: InferenceModel) -> About:
    said = _description(folder)
    return About(
        kind=said.kind,
        image_height=model.size[0],
        image_width=model.size[1],
        cameras=said.cameras,
        embedding_width=model.width,
        mean=model.trunk.mean,
        std=model.trunk.std,
        parts=model.made_of.parts,
        scale=model.made_of.scale,
        encoder=said.encoder,
        weights_sha256=file_digest(folder / MODEL),
    )


def _below_here(file: Path) -> bool:
    return not file.is_absolute() and ".." not in file.parts


def _description(folder: Path) -> _Visual:
    found = read_description(folder)
    kind = str(found.get("kind"))
    if kind not in KINDS:
        raise WeightsError(
            f"this folder holds no ReID model, but kind {kind!r}",
            where=folder,
            fix="name a folder of the store's artifacts/finetuned or artifacts/visual",
        )
    try:
        model = KINDS[kind].model_validate(found)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise StoreError(
            f"a model's settings are missing or wrong: {names}",
            where=folder / SETTINGS,
            fix="delete the artifact and run again",
        ) from error
    if is_own(model.encoder.model) and not _below_here(Path(model.encoder.model)):
        raise WeightsError(
            f"this model wants the code of {model.encoder.model}, and only files below the working directory are run",
            where=folder / SETTINGS,
            fix="put the file there, and name it so in the configuration that trains the model",
        )
    if not (folder / MODEL).is_file():
        raise StoreError("the model's weights are missing", where=folder / MODEL, fix="delete the folder and run again")
    return model
