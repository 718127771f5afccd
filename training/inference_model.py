"""A trained model as it is used: one graph from raw clips to embeddings, and what it says about itself.

Here it is taken from a model folder, and read back from a file of tensors; `training.export` writes such files.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from storage.errors import StoreError, WeightsError
from storage.settings import Settings
from storage.store.manifests import file_digest
from training.files import load_tensors, load_weights, read_description
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.names import is_own
from training.model.encoders.start import load_encoder
from training.model.reid_model import Features, embedding, fusion_heads
from training.model.temporal import TemporalModelling
from training.settings import MODEL, SETTINGS, EncoderSettings

ABOUT = "csip"  # the one key of a file's metadata: several would be written in no fixed order
TRAINING_ONLY = ("from_joints", "skeleton_talk", "guided_norm", "guide_norm", "guide")  # of SGTM: skeletons

Embed = Callable[[Tensor, Tensor], Tensor]
"""Clips (B, T, 3, H, W) uint8 and camera ids, (B,) int64 or one for all, to embeddings (B, C) float32 on the CPU.

Those of a tracklet's clips are averaged as they are, then L2-normalised.
"""


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
    use_sgtm: bool = Field(False, description="Whether the embedding ends in SGTM's clip feature.")
    encoder: EncoderSettings = Field(description="The visual encoder's settings.")
    weights_sha256: str = Field(description="Of the model.safetensors that was exported.")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of clips, pixels."""
        return self.image_height, self.image_width

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
        sgtm: what the embedding ends in the clip feature of, if anything; loses the parts that only training needs.
        finetuned: the embedding is that of the method's model, and not what the encoder alone was made to be ranked by.
    """

    mean: Tensor
    std: Tensor
    cameras: Tensor

    def __init__(
        self, visual: VisualEncoder, sgtm: TemporalModelling | None = None, *, finetuned: bool = False
    ) -> None:
        super().__init__()
        self.trunk, self.camera_vectors, self.sgtm = visual.trunk, visual.camera_vectors, sgtm
        self.finetuned, self.size = finetuned, self.trunk.size
        cls, projected = torch.zeros(1, 1, self.trunk.token_width), torch.zeros(1, 1, self.trunk.projected_width)
        self.width = self._embedding(cls, projected, cls[0] if sgtm is not None else None).shape[1]
        for name in TRAINING_ONLY if sgtm is not None else ():
            delattr(sgtm, name)
        for name, buffer in visual.named_buffers(recurse=False):
            self.register_buffer(name, buffer, persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, clips: Tensor, camids: Tensor) -> Tensor:
        """Embeddings, (B, C) float32, not normalised, of clips (B, T, 3, H, W) uint8 RGB by cameras (B,) int64."""
        b, t = clips.shape[0], clips.shape[1]
        frames = (clips.flatten(0, 1).float() - self.mean) / self.std
        tokens, projected = self.trunk(frames, self._camera_shift(camids, t))
        tokens, projected = tokens.unflatten(0, (b, t)), projected.unflatten(0, (b, t))
        temporal = self.sgtm(tokens).clip if self.sgtm is not None else None
        return self._embedding(tokens[:, :, 0], projected[:, :, 0], temporal)

    def _embedding(self, cls: Tensor, projected: Tensor, temporal: Tensor | None) -> Tensor:
        if not self.finetuned:
            return self.trunk.embedding(cls, projected)
        return embedding(Features(cls.mean(1), projected.mean(1), temporal))

    def _camera_shift(self, camids: Tensor, frames: int) -> Tensor | None:
        if self.camera_vectors is None:
            return None  # the graph keeps the input, so that all exports are called alike
        shift = (camids[:, None] == self.cameras).float() @ self.camera_vectors  # (B, D); zero for an unseen camera
        return shift[:, None].expand(-1, frames, -1).flatten(0, 1)


def load_embedder(folder: Path | None, encoder: EncoderSettings, device: str) -> tuple[Embed, InferenceModel]:
    """The model of a folder (`visual` or `finetuned`) on a device, or of the encoder's pretrained weights (None).

    Raises:
        StoreError, WeightsError: as `load_inference_model`; the pretrained weights cannot be had or do not fit.
    """
    model = InferenceModel(load_encoder(None, encoder)) if folder is None else _trained(folder)
    return _embed(model, device), model


def load_inference_model(folder: Path) -> tuple[InferenceModel, About]:
    """The inference model of a model folder (`visual` or `finetuned`), on the CPU, for evaluation, without gradients.

    Raises:
        StoreError: the folder's files are missing or damaged.
        WeightsError: it is no ReID model, or its tensors do not fit.
    """
    model = _trained(folder)
    return model, _about(folder, model)


def _trained(folder: Path) -> InferenceModel:
    about = _description(folder)
    state = load_tensors(folder / MODEL)
    if about.kind == "finetuned":  # there, trunk and camera vectors are the visual encoder's, beside SGTM and heads
        state = {name.removeprefix("visual."): value for name, value in state.items()}
    model = _untrained(about)
    load_weights(model, {name: state[name] for name in model.state_dict() if name in state}, folder / MODEL)
    return model


def _untrained(about: About | _Visual) -> InferenceModel:
    visual = VisualEncoder(about.encoder, about.cameras)
    d, p = visual.trunk.token_width, visual.trunk.projected_width
    sgtm = TemporalModelling(d, p, fusion_heads(d)) if about.use_sgtm else None
    return InferenceModel(visual, sgtm, finetuned=about.kind == "finetuned")


def _embed(model: InferenceModel, device: str | torch.device) -> Embed:
    model.to(device)

    @torch.inference_mode()
    def embed(clips: Tensor, camids: Tensor) -> Tensor:
        found: Tensor = model(clips.to(device), camids.expand(len(clips)).to(device))
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
    model = _untrained(about)
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


def described(folder: Path) -> About:
    """What model a folder (`visual` or `finetuned`) holds.

    Raises:
        StoreError: the folder's files are missing or damaged.
        WeightsError: it is no ReID model.
    """
    with torch.device("meta"):
        return _about(folder, _untrained(_description(folder)))


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
        use_sgtm=said.use_sgtm,
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
