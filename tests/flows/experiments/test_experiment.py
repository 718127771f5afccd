"""An experiment's file: what its arms come to, and what is wrong with it, told before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.config import load_config
from flows.experiments.experiment import is_experiment, read_experiment
from storage.errors import SettingsError
from tests.small_run import small_settings

SHIPPED = sorted((Path(__file__).parents[3] / "configs/experiments").glob("*.yaml"))


def write(folder: Path, **experiment: Any) -> Path:
    """An experiment on the small configuration."""
    (folder / "base.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    path = folder / "parts.yaml"
    path.write_text(
        yaml.safe_dump({"base": "base", "arms": {"a": {}, "b": {"finetune.epochs": 3}}} | experiment, sort_keys=False)
    )
    return path


def test_every_arm_is_the_base_with_its_settings_and_seed(tmp_path: Path) -> None:
    dotted = {"finetune.use_pfu": False, "embed": {"clip_length": 2}}
    arms = {"plain": {"finetune": {"use_pfu": False}}, "dotted": dotted}
    path = write(tmp_path, arms=arms, settings={"finetune.epochs": 5}, seeds=[3, 7])
    asked, trials = read_experiment(path, ["finetune.lr=0.5"])
    assert asked.name == "parts"
    assert [(trial.arm, trial.seed) for trial in trials] == [("plain", 3), ("dotted", 3), ("plain", 7), ("dotted", 7)]
    for trial in trials:
        assert not trial.config.finetune.use_pfu
        assert (trial.config.finetune.epochs, trial.config.finetune.lr) == (5, 0.5)
        assert {trial.config.visual.seed, trial.config.pretrain.seed, trial.config.finetune.seed} == {trial.seed}
        assert trial.config.store == str(tmp_path / "store")
        assert trial.model == "finetuned"
    assert trials[1].config.embed.clip_length == 2
    assert trials[0].config.embed.clip_length != 2


def test_a_number_of_seeds_counts_from_0_and_each_protocol_is_a_trial(tmp_path: Path) -> None:
    _, trials = read_experiment(write(tmp_path, seeds=2, galleries=["without_queries", "with_queries"]))
    assert [(t.arm, t.seed, t.gallery) for t in trials[:3]] == [
        ("a", 0, "without_queries"),
        ("a", 0, "with_queries"),
        ("b", 0, "without_queries"),
    ]
    assert {trial.seed for trial in trials} == {0, 1}
    assert all(trial.config.evaluation.gallery == trial.gallery for trial in trials)


def test_an_arm_may_measure_the_visual_encoder_alone(tmp_path: Path) -> None:
    _, trials = read_experiment(write(tmp_path, arms={"alone": {"model": "visual"}, "whole": None}, seeds=1))
    assert [trial.model for trial in trials] == ["visual", "finetuned"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"arms": {"a": {"finetune.epoch": 3}}},
            ["arm 'a'", "finetune.epoch is not", "finetune.epochs"],
        ),
        ({"arms": {"a": {}, "b": {"model": "visul"}}}, ["arm 'b'", "no model 'visul'", "finetuned, visual"]),
        ({"arms": {"a": {"finetune.seed": 3}}}, ["arm 'a'", "an arm sets a seed", "seeds"]),
        ({"arms": {"a": {}, "b": {}}}, ["arms 'a' and 'b' cannot differ"]),
        ({"arms": {"a": {}, "b": {"finetune.save_every": 3}}}, ["arms 'a' and 'b' cannot differ"]),
        ({"arms": {}}, ["arms: Dictionary should have at least 1 item"]),
        ({"seeds": []}, ["seeds"]),
        ({"seeds": [1, 1]}, ["seeds: each once"]),
        ({"seeds": [-1]}, ["seeds are 0 or more"]),
        ({"measures": ["mAP", "rank"]}, ["rank: measures are mAP"]),
        ({"galleries": ["with"]}, ["galleries"]),
        ({"against": "c"}, ["no arm 'c'", "arms are: a, b"]),
        ({"base": "absent"}, ["cannot read the configuration", "absent.yaml"]),
        ({"name": "../x"}, ["name: String should match"]),
        ({"seeds": 0}, ["a number of seeds is 1 to 1000 (given: 0)"]),
        ({"seeds": 10**11}, ["a number of seeds is 1 to 1000"]),
        ({"base": "parts"}, ["its base is an experiment itself"]),
        ({"arms": {"a": {}, "b": {"data": {"folds": 2}}}}, ["arms 'a' and 'b' differ in data.folds"]),
        ({"arms": {"a": {}, "b": {"store": "other"}}}, ["arms 'a' and 'b' differ in store"]),
        ({"arms": {"a": {}, "b": {"model": "fused"}}}, ["no model 'fused' without skeletons", "skeleton_weight"]),
        ({"sedes": 3}, ["sedes is no part of an experiment; did you mean seeds?"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(changed: dict[str, Any], says: list[str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        read_experiment(write(tmp_path, **changed))
    for words in says:
        assert words in str(raised.value)


def test_an_experiment_without_a_base_is_told(tmp_path: Path) -> None:
    (path := tmp_path / "x.yaml").write_text("arms: {a: {}}\n")
    with pytest.raises(SettingsError, match="base is missing"):
        read_experiment(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_can_be_read(path: Path) -> None:
    asked, trials = read_experiment(path)
    assert asked.about
    assert len(trials) == len(asked.arms) * len(asked.seeds) * max(1, len(asked.galleries))


def test_a_file_is_an_experiment_if_it_has_arms(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert is_experiment(path)
    assert not is_experiment(path.with_name("base.yaml"))
    assert not is_experiment(tmp_path / "absent.yaml")


def test_an_arm_that_is_there_twice_is_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("base: base\narms:\n  a: {}\n  a: {finetune.epochs: 3}\n")
    with pytest.raises(SettingsError, match="'a' is there twice"):
        read_experiment(path)


def test_run_as_a_configuration_it_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="this is an experiment, and no configuration") as raised:
        load_config(write(tmp_path))
    assert "csip experiment" in str(raised.value)
