import json
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from storage.errors import SettingsError, StoreError, WeightsError
from tests.training.model_folders import ENCODER, finetuned_folder, reference_embeddings, visual_folder
from tests.training.stages import Stages
from training.export import export
from training.inference_model import ABOUT, load_exported, load_inference_model
from training.model.encoders.small import CLIP_MEAN, CLIP_STD, SmallTrunk
from training.model.encoders.trunk import Composition
from training.settings import MODEL, SETTINGS, EmbedSettings

USUAL = EmbedSettings()


def clips(b: int, t: int) -> torch.Tensor:
    return torch.randint(0, 256, (b, t, 3, 32, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(b + t))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finetuned_folder(tmp_path / "model")


@pytest.fixture
def exported(folder: Path, tmp_path: Path) -> Path:
    export(folder, USUAL, "safetensors", tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("cameras", [(), (1, 2, 6)])
@pytest.mark.parametrize("use_sgtm", [True, False])
def test_it_embeds_each_clip_of_a_batch_by_its_own_camera_as_the_stage_does(tmp_path, cameras, use_sgtm):
    folder = finetuned_folder(tmp_path / "model", cameras=cameras, use_sgtm=use_sgtm)
    model, _ = load_inference_model(folder, USUAL)
    given, camids = clips(4, 3), torch.tensor([6, 1, 9, 2])
    expected = torch.cat([reference_embeddings(folder, given[i : i + 1], camids[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(model(given, camids), expected, rtol=0, atol=1e-6)


SCALES = {
    "raw": lambda model, part, feature: feature,
    "unit": lambda model, part, feature: feature / feature.norm(dim=1, keepdim=True),
    "neck": lambda model, part, feature: model.heads[part].neck(feature),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("parts", [("projected",), ("temporal", "cls"), ("cls", "projected", "temporal")])
def test_the_embedding_is_the_parts_that_are_asked_for_each_scaled_so(folder, parts, scale):
    model, about = load_inference_model(folder, EmbedSettings(parts=parts, scale=scale))
    given, camids = clips(3, 4), torch.tensor([1, 2, 9])
    expected = reference_embeddings(folder, given, camids, parts, SCALES[scale])
    torch.testing.assert_close(model(given, camids), expected, rtol=0, atol=1e-6)
    assert about.embedding_width == expected.shape[1]
    assert (about.parts, about.scale) == (parts, scale)


def test_parts_that_the_embedding_has_not_are_not_kept(folder):
    assert not any(name.startswith(("sgtm", "necks")) for name in _state(folder, parts=("cls",)))
    assert [name for name in _state(folder, parts=("cls",), scale="neck") if name.startswith("necks.cls")]


def _state(folder, **settings):
    return load_inference_model(folder, EmbedSettings(**settings))[0].state_dict()


def test_a_part_that_the_model_was_trained_without_is_told(tmp_path):
    folder = finetuned_folder(tmp_path / "model", use_sgtm=False)
    with pytest.raises(SettingsError, match="trained without SGTM") as raised:
        load_inference_model(folder, EmbedSettings(parts=("cls", "temporal")))
    assert "embed.parts=cls,temporal" in str(raised.value)


def test_parts_may_be_written_in_a_line():
    assert EmbedSettings(parts="cls, temporal").parts == ("cls", "temporal")
    assert EmbedSettings(parts="cls").parts == ("cls",)


def test_a_part_twice_is_refused():
    with pytest.raises(ValidationError, match="each part once, not cls, cls"):
        EmbedSettings(parts=("cls", "cls"))


def test_a_finetuned_model_embeds_as_its_family_does_best(folder, monkeypatch):
    monkeypatch.setattr(SmallTrunk, "finetuned", Composition(("cls",), "unit"))
    _, about = load_inference_model(folder, USUAL)
    assert about.made_of == Composition(("cls",), "unit")
    _, about = load_inference_model(folder, EmbedSettings(scale="raw"))
    assert about.made_of == Composition(("cls",), "raw")


def test_models_that_embed_otherwise_are_told_apart(folder):
    said = {load_inference_model(folder, EmbedSettings(scale=scale))[1].embeds_as for scale in SCALES}
    assert len(said) == 3


def test_the_visual_encoder_alone_looks_at_no_camera(tmp_path):
    model, about = load_inference_model(visual_folder(tmp_path / "model"), USUAL)
    assert about.cameras == ()
    assert torch.equal(model(clips(2, 3), torch.tensor([1, 2])), model(clips(2, 3), torch.tensor([7, 8])))


def test_a_known_camera_moves_the_embedding_and_an_unknown_one_does_not(folder):
    model, _ = load_inference_model(folder, USUAL)
    one, two, seven, eight = (model(clips(1, 2), torch.tensor([camid])) for camid in (1, 2, 7, 8))
    assert torch.equal(seven, eight)
    assert not torch.isclose(one, seven).all()
    assert not torch.isclose(one, two).all()


def test_embeddings_need_no_gradient(folder):
    model, about = load_inference_model(folder, USUAL)
    found = model(clips(2, 3), torch.tensor([1, 2]))
    assert found.shape == (2, about.embedding_width)
    assert not found.requires_grad


def test_only_what_inference_needs_is_kept(folder):
    kept = set(load_inference_model(folder, USUAL)[0].state_dict())
    assert not [name for name in kept if name.startswith(("skeleton", "pfu", "heads", "prototypes"))]
    assert not [name for name in kept if name.startswith(("sgtm.from_joints", "sgtm.skeleton", "sgtm.guide"))]
    assert "sgtm.visual_message.weight" in kept


@pytest.mark.parametrize("left_out", ["use_pfu", "use_skeletons"])
def test_models_trained_without_a_part_of_the_method_are_taken_too(tmp_path, left_out):
    folder = finetuned_folder(tmp_path / "model", **{left_out: False})
    model, _ = load_inference_model(folder, USUAL)
    expected = reference_embeddings(folder, clips(1, 3), torch.tensor([2]))
    torch.testing.assert_close(model(clips(1, 3), torch.tensor([2])), expected)


def test_it_says_what_a_user_of_the_model_must_know(folder):
    _, about = load_inference_model(folder, USUAL)
    said = json.loads(about.as_json())
    assert said["format"] == 2
    assert said["kind"] == "finetuned"
    assert (said["image_height"], said["image_width"]) == (32, 16)
    assert said["cameras"] == [1, 2, 6]
    assert said["embedding_width"] == 2 * 16 + 8
    assert (said["mean"], said["std"]) == (list(CLIP_MEAN), list(CLIP_STD))


def test_it_does_not_say_where_weights_lay_on_the_machine_that_made_it(tmp_path):
    folder = visual_folder(tmp_path / "model", ENCODER.model_copy(update={"weights": tmp_path / "secret.safetensors"}))
    assert "secret" not in load_inference_model(folder, USUAL)[1].as_json()


def test_a_file_of_tensors_embeds_as_the_model_that_it_was_made_from(folder, exported):
    embed, about = load_exported(exported)
    model, described = load_inference_model(folder, USUAL)
    assert about == described
    assert torch.equal(embed(clips(3, 5), torch.tensor([1, 6, 9])), model(clips(3, 5), torch.tensor([1, 6, 9])))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({}, "settings are missing or wrong: encoder"),
        ({"encoder": {"width": "huge"}}, "encoder.width"),
        ({"encoder": ENCODER.key_fields(), "use_sgtm": "perhaps"}, "use_sgtm"),
    ],
)
def test_settings_that_are_missing_or_wrong_are_named(folder, damage, problem):
    (folder / SETTINGS).write_text(yaml.safe_dump({"kind": "finetuned"} | damage))
    with pytest.raises(StoreError, match=problem):
        load_inference_model(folder, USUAL)


@pytest.mark.parametrize("text", [b"", b"- a list\n", b"{", b"\xff\xfe\x00"])
def test_damaged_settings_are_an_error_of_the_store(folder, text):
    (folder / SETTINGS).write_bytes(text)
    with pytest.raises(StoreError, match="settings"):
        load_inference_model(folder, USUAL)


@pytest.mark.parametrize("name", [MODEL, SETTINGS])
def test_a_missing_file_is_an_error_of_the_store(folder, name):
    (folder / name).unlink()
    with pytest.raises(StoreError, match=name):
        load_inference_model(folder, USUAL)


def test_damaged_weights_are_an_error_of_the_store(folder):
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-1])
    with pytest.raises(StoreError, match=MODEL):
        load_inference_model(folder, USUAL)


@pytest.mark.parametrize("kind", ["other", None, ["visual"]])
def test_a_folder_of_another_kind_is_no_reid_model(folder, kind):
    (folder / SETTINGS).write_text(yaml.safe_dump({"kind": kind}))
    with pytest.raises(WeightsError, match="no ReID model"):
        load_inference_model(folder, USUAL)


def test_a_pretrained_skeleton_encoder_is_no_reid_model(stages: Stages):
    with pytest.raises(WeightsError, match="no ReID model, but kind 'pretrained'"):
        load_inference_model(stages.ready("pretrain"), USUAL)


def test_tensors_that_do_not_fit_the_settings_are_named(folder):
    state = load_file(folder / MODEL)
    del state["visual.trunk.cls"]
    save_file(state, folder / MODEL)
    with pytest.raises(WeightsError, match=r"do not fit the model: trunk\.cls"):
        load_inference_model(folder, USUAL)


def test_an_exported_file_that_cannot_be_read_is_told_plainly(tmp_path):
    (tmp_path / "damaged").write_bytes(b"damaged")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "damaged"):
        with pytest.raises(WeightsError, match="cannot read an exported model"):
            load_exported(path)


def test_a_file_of_tensors_that_csip_export_did_not_write_is_refused(folder):
    with pytest.raises(WeightsError, match="no model of `csip export`"):
        load_exported(folder / MODEL)


@pytest.mark.parametrize("said", ["{", "[]", "{}"])
def test_a_file_that_does_not_describe_its_model_is_refused(exported, said):
    save_file(load_file(exported), exported, {ABOUT: said})
    with pytest.raises(WeightsError, match="no model of `csip export`"):
        load_exported(exported)


def test_a_file_of_a_later_format_version_is_refused(exported):
    said = json.loads(load_exported(exported)[1].as_json())
    save_file(load_file(exported), exported, {ABOUT: json.dumps(said | {"format": 3})})
    with pytest.raises(WeightsError, match="another format version"):
        load_exported(exported)
