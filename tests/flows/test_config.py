from pathlib import Path

import pytest

from flows.config import Config, described_settings, load_config
from storage.errors import SettingsError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_a_file_holds_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "name: mine\ndata: {train_shards: 3}"))
    assert config.data.train_shards == 3
    assert config.data.test_shards == Config(name="x").data.test_shards


def test_overrides_are_yaml_values_at_dotted_names(tmp_path: Path) -> None:
    path = write(tmp_path, "name: mine")
    config = load_config(path, ["pretrain.epochs=7", "data.root=elsewhere", "evaluation.gallery=without_queries"])
    assert (config.pretrain.epochs, config.data.root) == (7, Path("elsewhere"))
    assert config.evaluation.gallery == "without_queries"


def test_misspelt_settings_are_named_with_the_nearest_valid_name_all_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "name: mine\npretrain: {epoch: 3}\ndata: {layuot: mars}\nevalution: {}")
    with pytest.raises(SettingsError) as caught:
        load_config(path)
    message = str(caught.value)
    assert "3 wrong settings" in message
    assert "pretrain.epoch is not a setting; did you mean pretrain.epochs?" in message
    assert "data.layuot is not a setting; did you mean data.layout?" in message
    assert "evalution is not a setting; did you mean evaluation?" in message


def test_a_setting_out_of_range_is_named_with_its_value(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"data.train_shards: .* \(given: 0\)"):
        load_config(write(tmp_path, "name: mine\ndata: {train_shards: 0}"))


def test_a_library_can_count_as_another_version_or_not_at_all(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, 'name: mine\nversions: {torch: "2.10", timm: null}'))
    assert config.versions == {"torch": "2.10", "timm": None}
    assert "versions" not in config.key_fields()


def test_an_unknown_library_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such library: pytorch; valid are torch, .*opencv-python-headless"):
        load_config(write(tmp_path, 'name: mine\nversions: {pytorch: "2.15"}'))


@pytest.mark.parametrize("version", ["2.10", "2", '"2"', '"2.15.1"', '"newest"', "[2, 15]"])
def test_a_version_is_major_and_minor_in_quotes(tmp_path: Path, version: str) -> None:
    with pytest.raises(SettingsError, match=r"versions: .*major\.minor in quotes"):
        load_config(write(tmp_path, f"name: mine\nversions: {{torch: {version}}}"))


@pytest.mark.parametrize("text", ["name: [unclosed", "just words", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load_config(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the configuration"):
        load_config(tmp_path / "absent.yaml")


def test_an_override_without_a_value_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"write --set section\.name=value"):
        load_config(write(tmp_path, "name: x"), ["pretrain.epochs"])


def test_a_split_that_the_layout_has_not_is_answered_with_how_many_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x\ndata: {layout: ilidsvid}")
    assert load_config(path, ["data.split=9"]).data.split == 9
    assert load_config(path, ["data.split=all"]).data.split == "all"
    with pytest.raises(SettingsError, match=r"data\.split=10: the layout ilidsvid has 10 splits, 0 to 9"):
        load_config(path, ["data.split=10"])
    with pytest.raises(SettingsError, match=r"data\.split=1: the layout mars has one split, 0"):
        load_config(path, ["data.layout=mars", "data.split=1"])
    with pytest.raises(SettingsError, match=r"data\.split=-1: the layout ilidsvid has 10 splits, 0 to 9"):
        load_config(path, ["data.split=-1"])


def test_clothes_changing_needs_a_layout_that_can_name_clothes(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x\nevaluation: {protocol: clothes_changing}")
    with pytest.raises(SettingsError, match=r"data\.layout=mars does not name; ccvid, manifest can"):
        load_config(path)
    assert load_config(path, ["data.layout=ccvid"]).evaluation.protocol == "clothes_changing"


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_configuration_loads(path: Path) -> None:
    assert load_config(path).name


def test_every_setting_is_described() -> None:
    assert [name for name, _, description in described_settings(Config) if not description] == []


def test_a_section_that_is_off_says_so_and_how_to_turn_it_on(tmp_path: Path) -> None:
    told = {name: str(default) for name, default, _ in described_settings(Config)}
    off = [name for name, default in told.items() if default == "null (off; {} turns it on)"]
    assert off == ["data.demo", "skeleton_only.body", "evaluation.rerank", "evaluation.expansion"]
    assert told["evaluation.rerank.k1"] == "20 (where evaluation.rerank is on)"
    assert told["evaluation.expansion.neighbours"] == "5 (where evaluation.expansion is on)"
    assert told["embed.sampling"] == "dense"
    # and it is so
    path = write(tmp_path, "name: x")
    assert load_config(path).evaluation.rerank is None
    turned_on = load_config(path, ["evaluation.rerank={}"]).evaluation.rerank
    assert turned_on is not None
    assert turned_on.k1 == 20
