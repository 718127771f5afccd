"""Writes the inference model for use elsewhere: ONNX, TorchScript, or its tensors alone.

A file gets its name only after it was read back by its own runtime and gave what `training.embed` gives.
"""

import io
import logging
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn

from storage.disk import whole
from storage.errors import CsipError, EnvironmentProblem
from training.export_formats import SUFFIXES, export_file
from training.inference_model import (
    ABOUT,
    About,
    Embed,
    InferenceModel,
    load_embedder,
    load_exported,
    load_inference_model,
)
from training.settings import EmbedSettings

TOLERANCE = 1e-3
TRACED = (2, 3)  # B and T of the clips that a graph is recorded with; 1 would be taken for a constant
CHECKED = ((1, 1), (2, 4), (1, 9), (5, 2))
INPUTS, OUTPUT = ("clips", "camids"), "embedding"
ABOUT_FILE = f"{ABOUT}.json"
MACHINE = (".debug_pkl", "serialization_id")  # of TorchScript: paths of source files here, and a digest of them
NUMBERED = rb"___torch_mangle_\d+"  # in the names of classes of which torch has traced another in this process


class Format(NamedTuple):
    """How the names of its files end, what writes one, and the runtime that opens it."""

    suffix: str
    write: Callable[[InferenceModel, About, Path], None]
    read: Callable[[Path], Embed]


def export(folder: Path, settings: EmbedSettings, format_name: str, out: Path) -> tuple[About, float]:
    """Export the model of a folder to a file, checked against PyTorch.

    Args:
        folder: a model folder of kind `visual` or `finetuned`.
        settings: what the embedding of a finetuned model is made of.
        format_name: one of `FORMATS`.
        out: the file; replaced if it exists.

    Returns:
        What was exported, and the largest difference found.

    Raises:
        SettingsError: there is no such format, the file's name does not end as the format's do, or the model has not
            the parts that the settings name.
        StoreError: the folder's files are missing or damaged.
        WeightsError: it is no ReID model, or its tensors do not fit.
        EnvironmentProblem: the file cannot be written.
        CsipError: the exported model does not give what PyTorch gives.
    """
    out, way = export_file(format_name, out), FORMATS[format_name]
    model, about = load_inference_model(folder, settings)
    embed, _ = load_embedder(folder, about.encoder, settings, "cpu")

    def expected(clips: Tensor, camids: Tensor) -> Tensor:
        """Of `training.embed`, clip by clip, so that neighbours in a batch cannot help."""
        return torch.cat([embed(clips[i : i + 1], camids[i]) for i in range(len(clips))])

    return about, write_checked(model, about, way, expected, out)


def write_checked(model: InferenceModel, about: About, way: Format, expected: Embed, out: Path) -> float:
    """Write beside `out`, compare, rename; gives the largest difference. A failure leaves nothing.

    Raises:
        EnvironmentProblem: the file cannot be written.
        CsipError: the difference is above `TOLERANCE`.
    """
    try:
        with whole(out) as fresh:
            way.write(model, about, fresh)
            found = largest_difference(way.read(fresh), expected, about)
            if not found <= TOLERANCE:  # so written, it refuses what is not a number
                raise CsipError(
                    f"the exported model differs from PyTorch by up to {found:.3g}, more than {TOLERANCE:g}; not kept",
                    where=out,
                    fix="try another --format; if only one fails, its library and this torch do not fit (csip doctor)",
                )
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write the exported model: {error.strerror or error}", where=out, fix="check the disk and the path"
        ) from error
    return found


def largest_difference(embed: Embed, expected: Embed, about: About) -> float:
    """Largest difference of two models over random clips of `CHECKED` sizes and cameras, unseen ones too.

    Of entries, as a share of their embedding's length; not a number if either gives such, infinite if shapes differ.
    """
    generator = torch.Generator().manual_seed(0)
    known = torch.tensor([*about.cameras, max(about.cameras, default=0) + 1])
    differences = []
    for number, (b, t) in enumerate(CHECKED):
        clips = random_clips(about, b, t, generator)
        camids = known[(torch.arange(b) + number) % len(known)]
        mine, theirs = embed(clips, camids), expected(clips, camids)
        if mine.shape != theirs.shape:
            return math.inf
        differences.append(((mine - theirs).abs() / theirs.norm(dim=1, keepdim=True)).max())
    return float(torch.stack(differences).max())


def random_clips(about: About, batch: int, frames: int, generator: torch.Generator) -> Tensor:
    """(B, T, 3, H, W) uint8 of the model's size."""
    size = (batch, frames, 3, about.image_height, about.image_width)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)


def _example(about: About) -> tuple[Tensor, Tensor]:
    return random_clips(about, *TRACED, torch.Generator().manual_seed(0)), torch.arange(TRACED[0])


def _write_onnx(model: InferenceModel, about: About, path: Path) -> None:
    with _quiet():
        program: Any = torch.onnx.export(
            model,
            _example(about),
            dynamo=True,
            dynamic_shapes=({0: "batch", 1: "frames"}, {0: "batch"}),
            input_names=INPUTS,
            output_names=(OUTPUT,),
            verbose=False,
        )
    proto = program.model_proto
    for part in (proto.graph, *proto.functions):
        for node in part.node:  # where in which file on this machine it came from
            del node.metadata_props[:]
            node.ClearField("doc_string")
    for entry in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        del entry.metadata_props[:]
    del proto.metadata_props[:], proto.graph.metadata_props[:]
    proto.metadata_props.add(key=ABOUT, value=about.as_json())
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _read_onnx(path: Path) -> Embed:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def embed(clips: Tensor, camids: Tensor) -> Tensor:
        given = {name: value.numpy() for name, value in zip(INPUTS, (clips, camids), strict=True)}
        return torch.from_numpy(session.run([OUTPUT], given)[0])

    return embed


def _write_torchscript(model: InferenceModel, about: About, path: Path) -> None:
    whole = io.BytesIO()
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(_Flat(model), _example(about), check_trace=False)
        torch.jit.save(traced, whole, {ABOUT_FILE: about.as_json()})
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w") as slim:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith((".py", ".pkl")):
                content = re.sub(rb"[.]" + NUMBERED, b"", content)
            if not name.endswith(MACHINE):
                slim.writestr(zipfile.ZipInfo(re.sub("/" + NUMBERED.decode(), "", name)), content)


class _Flat(nn.Module):
    """The model's tensors in one module, whose class is then the only one in the file."""

    def __init__(self, model: InferenceModel) -> None:
        super().__init__()
        self.embed = model.forward
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self.register_buffer(name.replace(".", "_"), tensor)

    def forward(self, clips: Tensor, camids: Tensor) -> Tensor:
        """As the model's."""
        return self.embed(clips, camids)


def _read_torchscript(path: Path) -> Embed:
    with _quiet():
        embed: Embed = torch.inference_mode()(torch.jit.load(path, map_location="cpu"))
    return embed


def _write_safetensors(model: InferenceModel, about: About, path: Path) -> None:
    state = model.state_dict()
    path.write_bytes(save({name: state[name].contiguous() for name in sorted(state)}, {ABOUT: about.as_json()}))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' notes on tracing and on what they will drop one day: the check says if all is well."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


FORMATS = {
    "onnx": Format(SUFFIXES["onnx"], _write_onnx, _read_onnx),
    "torchscript": Format(SUFFIXES["torchscript"], _write_torchscript, _read_torchscript),
    "safetensors": Format(SUFFIXES["safetensors"], _write_safetensors, lambda path: load_exported(path)[0]),
}
