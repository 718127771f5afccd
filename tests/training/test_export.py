import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from storage.errors import CsipError, EnvironmentProblem, SettingsError, StoreError, WeightsError
from storage.progress import silent
from storage.tables.parquet import read_table
from storage.tables.schema import EMBEDDINGS
from storage.tables.tracklets import read_index
from tests.training.model_folders import finetuned_folder, reference_embeddings, visual_folder
from tests.training.stages import Stages
from training.batches.clips import FrameSource
from training.batches.sampling import segment_frames
from training.embed import Inputs, run
from training.export import FORMATS, TOLERANCE, export, largest_difference, write_checked
from training.inference_model import ABOUT, About, Embed, load_inference_model
from training.settings import MODEL, EmbedSettings, EncoderSettings

ROOT = Path(__file__).parents[2]
LONG = torch.tensor([3.0, 4.0])  # of length 5
SIZES = ((1, 1), (1, 7), (2, 3), (4, 1), (3, 8))
MODELS: dict[str, Callable[[Path], Path]] = {
    "finetuned": finetuned_folder,
    "finetuned without SGTM": lambda out: finetuned_folder(out, use_sgtm=False),
    "finetuned without cameras": lambda out: finetuned_folder(out, cameras=()),
    "visual": visual_folder,
}


class Exported(NamedTuple):
    """A model folder and its exported file."""

    folder: Path
    file: Path
    embed: Embed


def each_in(name: str, model: str) -> object:
    """A model in a format; torch takes seconds to write one as ONNX."""
    slow = name == "onnx" and " without " in model
    return pytest.param((name, model), id=f"{name}-{model}", marks=pytest.mark.slow if slow else ())


@pytest.fixture(scope="module", params=[each_in(name, model) for name in FORMATS for model in MODELS])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    name, model = request.param
    way, folder = FORMATS[name], MODELS[model](tmp_path_factory.mktemp("models") / "model")
    file = folder.parent / f"model{way.suffix}"
    export(folder, EmbedSettings(), name, file)
    return Exported(folder, file, way.read(file))


def clips(b: int, t: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (b, t, 3, 32, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def csip_embeddings(folder: Path, given: torch.Tensor, camids: torch.Tensor) -> torch.Tensor:
    return torch.cat([reference_embeddings(folder, given[i : i + 1], camids[i : i + 1]) for i in range(len(given))])


@pytest.mark.parametrize(("b", "t"), SIZES)
def test_every_format_gives_the_embeddings_of_csip_for_any_batch_and_clip_length(exported: Exported, b, t):
    given, camids = clips(b, t), torch.tensor([2, 9, 1, 6])[:b]
    found = exported.embed(given, camids)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, csip_embeddings(exported.folder, given, camids), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("camid", [1, 2, 6, 0, 3, -1, 10**6])
def test_every_format_treats_known_and_unknown_cameras_as_csip_does(exported: Exported, camid):
    given, camids = clips(1, 2), torch.tensor([camid])
    expected = csip_embeddings(exported.folder, given, camids)
    torch.testing.assert_close(exported.embed(given, camids), expected, rtol=0, atol=TOLERANCE)


def test_every_format_gives_embeddings_that_can_be_averaged_as_they_are(exported: Exported):
    given, camids = clips(3, 2), torch.tensor([1, 2, 3])
    expected = reference_embeddings(exported.folder, given, camids)
    torch.testing.assert_close(exported.embed(given, camids), expected, rtol=1e-4, atol=1e-4)
    assert not torch.isclose(expected.norm(dim=1), torch.ones(3)).any()


def test_every_format_says_what_it_holds(exported: Exported):
    _, about = load_inference_model(exported.folder, EmbedSettings())
    assert About(**json.loads(metadata(exported.file))) == about


def metadata(file: Path) -> str:
    """Read as a user without csip would."""
    if file.suffix == ".onnx":
        return onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map[ABOUT]
    if file.suffix == ".pt":
        extra = {"csip.json": ""}
        torch.jit.load(file, _extra_files=extra)
        return extra["csip.json"]
    with safe_open(file, "pt") as opened:
        return opened.metadata()[ABOUT]


def test_no_file_holds_a_path_of_this_machine(exported: Exported):
    held = exported.file.read_bytes()
    if exported.file.suffix == ".pt":
        with zipfile.ZipFile(exported.file) as archive:
            held += b"".join(archive.read(name) for name in archive.namelist())
    places = [ROOT, Path.home(), exported.folder.parent, Path(torch.__file__).parents[1], Path(sys.prefix)]
    assert not [place for place in places if str(place).encode() in held]


@pytest.mark.parametrize("exported", [each_in("onnx", "finetuned")], indirect=True)
def test_the_onnx_model_names_its_inputs_its_output_and_their_free_axes(exported: Exported):
    onnx.checker.check_model(onnx.load(exported.file), full_check=True)
    session = onnxruntime.InferenceSession(exported.file)
    clip, camid, found = *session.get_inputs(), *session.get_outputs()
    assert (clip.name, clip.shape, clip.type) == ("clips", ["batch", "frames", 3, 32, 16], "tensor(uint8)")
    assert (camid.name, camid.shape, camid.type) == ("camids", ["batch"], "tensor(int64)")
    assert (found.name, found.shape, found.type) == ("embedding", ["batch", 40], "tensor(float)")


def test_a_torchscript_model_runs_without_csip_and_without_asking_for_inference_mode(tmp_path):
    folder = finetuned_folder(tmp_path / "model")
    export(folder, EmbedSettings(), "torchscript", tmp_path / "model.pt")
    program = "import sys, torch; given = torch.load(sys.argv[2]); print(torch.jit.load(sys.argv[1])(*given).numpy())"
    given = clips(2, 5), torch.tensor([1, 9])
    torch.save(given, tmp_path / "given")
    command = [sys.executable, "-c", program, tmp_path / "model.pt", tmp_path / "given"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    found = np.array(said.replace("[", " ").replace("]", " ").split(), np.float32).reshape(2, -1)
    np.testing.assert_allclose(found, csip_embeddings(folder, *given).numpy(), atol=TOLERANCE)


@pytest.mark.parametrize(
    ("stage", "formats"),
    [
        ("visual", ["safetensors"]),
        ("finetune", ["torchscript", "safetensors"]),
        pytest.param("finetune", ["onnx"], marks=pytest.mark.slow),
    ],
)
def test_what_a_stage_trained_embeds_as_the_embeddings_stage_does(stages: Stages, tmp_path, stage, formats):
    small, trained = stages.small, stages.ready(stage)
    settings = EmbedSettings(sampling="rrs", clip_length=4, device="cpu")
    run(Inputs(small.root, small.test, trained, small.encoder), settings, tmp_path, silent)
    kept = read_table([tmp_path / "embeddings.parquet"], EMBEDDINGS)["embedding"].to_pylist()
    tracklet = read_index(small.test)[0]
    chosen = [tracklet.frames[i] for i in segment_frames(len(tracklet.frames), 4)]
    clip = FrameSource(small.root, (32, 16), 1, cache_megabytes=0).clips([chosen])[0]
    for name in formats:
        file = tmp_path / f"model{FORMATS[name].suffix}"
        _, difference = export(trained, EmbedSettings(), name, file)
        assert difference < 1e-5
        found = FORMATS[name].read(file)(torch.from_numpy(clip)[None], torch.tensor([tracklet.camid]))[0]
        np.testing.assert_allclose(F.normalize(found, dim=0).numpy(), kept[0], atol=TOLERANCE)


@pytest.mark.parametrize("name", [pytest.param("onnx", marks=pytest.mark.slow), "torchscript", "safetensors"])
def test_the_same_model_gives_the_same_bytes(tmp_path, name):
    folder, suffix = finetuned_folder(tmp_path / "model"), FORMATS[name].suffix
    for file in ("one", "two"):
        export(folder, EmbedSettings(), name, tmp_path / f"{file}{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


@pytest.mark.slow
def test_processes_of_two_checkouts_write_the_same_bytes(tmp_path):
    folder = finetuned_folder(tmp_path / "model")
    program = "import sys; from pathlib import Path; from training.export import *\n"
    program += "here, there = map(Path, sys.argv[1:])\n"
    program += "for n, f in FORMATS.items(): export(here, EmbedSettings(), n, there / f'model{f.suffix}')"
    for part in ("training", "storage"):
        shutil.copytree(ROOT / part, tmp_path / "elsewhere" / part)
    for checkout, seed in ((ROOT, "1"), (tmp_path / "elsewhere", "2")):
        env = os.environ | {"PYTHONPATH": str(checkout), "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, folder, tmp_path / seed], cwd=checkout, env=env, check=True)
    for way in FORMATS.values():
        assert (tmp_path / f"1/model{way.suffix}").read_bytes() == (tmp_path / f"2/model{way.suffix}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_clips_vit_is_exported_as_the_small_encoder_is(tmp_path, name):
    # twelve blocks of weights that are mostly noise would make chaos of rounding
    folder = finetuned_folder(tmp_path / "model", EncoderSettings(image_height=32, image_width=16), stirred=0.01)
    about, difference = export(folder, EmbedSettings(), name, tmp_path / f"model{FORMATS[name].suffix}")
    assert about.embedding_width == 768 + 512 + 768
    assert difference < 1e-5


@pytest.mark.parametrize(
    ("name", "wrong"), [*((name, -1) for name in FORMATS), ("torchscript", math.nan), ("safetensors", math.nan)]
)
def test_a_model_that_differs_is_refused_and_leaves_what_was_there(tmp_path, name, wrong):
    folder, way = finetuned_folder(tmp_path / "model"), FORMATS[name]
    model, about = load_inference_model(folder, EmbedSettings())
    model.camera_vectors *= wrong
    out = tmp_path / f"out/model{way.suffix}"
    out.parent.mkdir()
    out.write_text("of before")
    with pytest.raises(CsipError, match=r"differs from PyTorch by up to .* not kept"):
        write_checked(model, about, way, partial(csip_embeddings, folder), out)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert out.read_text() == "of before"


@pytest.fixture
def about(tmp_path: Path) -> About:
    return load_inference_model(finetuned_folder(tmp_path / "described"), EmbedSettings())[1]


def counting(seen: list[tuple[tuple[int, ...], list[int]]]) -> Embed:
    def embed(clips: torch.Tensor, camids: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(clips.shape[:2]), camids.tolist()))
        return LONG.expand(len(clips), 2)

    return embed


def test_the_check_looks_at_single_frames_single_clips_batches_and_every_camera(about):
    seen: list[tuple[tuple[int, ...], list[int]]] = []
    assert largest_difference(counting(seen), counting([]), about) == 0
    sizes, camids = zip(*seen, strict=True)
    assert (1, 1) in sizes
    assert any(b == 1 < t for b, t in sizes)
    assert any(b > 1 < t for b, t in sizes)
    assert {camid for each in camids for camid in each} == {1, 2, 6, 7}


def test_the_check_gives_the_largest_difference_of_any_clip_as_a_share_of_its_length(about):
    def shifted(clips: torch.Tensor, camids: torch.Tensor) -> torch.Tensor:
        return LONG.expand(len(clips), 2) - (camids == 6)[:, None] * torch.tensor([0, 1.25])

    assert largest_difference(shifted, counting([]), about) == 0.25


def test_the_check_refuses_embeddings_of_another_shape(about):
    assert largest_difference(lambda clips, _: torch.zeros(len(clips), 3), counting([]), about) == math.inf


def test_no_format_but_the_three_is_known_and_all_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"'tflite'(.|\n)*onnx, torchscript, safetensors"):
        export(finetuned_folder(tmp_path / "model"), EmbedSettings(), "tflite", tmp_path / "model.tflite")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("out", ["model", "model.bin", ".", "model.ONNX"])
def test_a_file_must_end_as_its_format_does(tmp_path, name, out):
    with pytest.raises(SettingsError, match=f"ends in {FORMATS[name].suffix}"):
        export(finetuned_folder(tmp_path / "model"), EmbedSettings(), name, tmp_path / out)


def test_an_absent_or_a_damaged_folder_leaves_no_file(tmp_path):
    folder = finetuned_folder(tmp_path / "model")
    (folder / MODEL).write_bytes(b"damaged")
    for source in (folder, tmp_path / "absent"):
        with pytest.raises(StoreError, match=source.name):
            export(source, EmbedSettings(), "safetensors", tmp_path / "out/model.safetensors")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_reid_model_is_refused(stages: Stages, tmp_path):
    with pytest.raises(WeightsError, match="no ReID model"):
        export(stages.ready("pretrain"), EmbedSettings(), "safetensors", tmp_path / "model.safetensors")


def test_a_file_that_cannot_be_written_is_told_plainly(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot write the exported model"):
        export(
            finetuned_folder(tmp_path / "model"), EmbedSettings(), "safetensors", tmp_path / "file/model.safetensors"
        )


def test_the_folder_of_the_file_is_made(tmp_path):
    out = tmp_path / "new/deep/model.safetensors"
    export(finetuned_folder(tmp_path / "model"), EmbedSettings(), "safetensors", out)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
