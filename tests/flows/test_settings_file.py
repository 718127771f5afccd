from pathlib import Path

import pytest

from flows.settings_file import read_settings
from storage.errors import SettingsError


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(files))}.yaml"


def test_a_configuration_lies_over_the_one_that_it_extends_setting_by_setting(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        mine="extends: base\nname: mine\npretrain: {epochs: 3, skeleton: {depth: 2}}\nlist: [1]\n",
        base="name: base\npretrain: {epochs: 120, lr: 0.1, skeleton: {width: 8}}\nlist: [1, 2]\nother: kept\n",
    )
    assert read_settings(path) == {
        "name": "mine",
        "pretrain": {"epochs": 3, "lr": 0.1, "skeleton": {"depth": 2, "width": 8}},
        "list": [1],
        "other": "kept",
    }


def test_what_is_extended_may_extend_another_and_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", middle="extends: ../ground.yaml\na: {y: 2}\n")
    path = write(tmp_path, top="extends: below/middle\na: {x: 1}\n", ground="a: {x: 3, y: 3, z: 3}\n")
    assert read_settings(path) == {"a": {"x": 1, "y": 2, "z": 3}}


def test_configurations_that_extend_each_other_are_one_message(tmp_path: Path) -> None:
    path = write(tmp_path, one="extends: two", two="extends: one")
    with pytest.raises(SettingsError, match="extend each other"):
        read_settings(path)


def test_what_is_extended_must_be_there_and_be_a_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the configuration(.|\n)*nowhere\.yaml"):
        read_settings(write(tmp_path, one="extends: nowhere"))
    with pytest.raises(SettingsError, match=r"extends: \['a'\] names no file"):
        read_settings(write(tmp_path, one="extends: [a]"))
