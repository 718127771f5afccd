"""Held-out people, embedded while the model learns: they change nothing, and say what the finished model would."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from flows.config import make_config
from storage.errors import SettingsError
from storage.progress import silent
from storage.tables.parquet import read_table
from storage.tables.schema import EMBEDDINGS
from tests.training.conftest import Small
from tests.training.stages import FINETUNE, QUIET, Stages, digests
from training import embed, finetune
from training.settings import MODEL, FinetuneSettings

VALIDATED = FINETUNE.model_copy(
    update={"epochs": 5, "refresh_every": 0, "milestones": (2, 4), "validate_every": 2, "lr": 1e-3}
)


def run(stages: Stages, name: str, settings: FinetuneSettings) -> Path:
    out = stages.root / name
    out.mkdir(parents=True, exist_ok=True)
    inputs = stages.finetune_inputs(QUIET)
    finetune.run(replace(inputs, indexes=(stages.small.train, stages.small.test)), settings, out, silent)
    return out


def vectors(path: Path) -> dict[str, np.ndarray]:
    rows = read_table([path], EMBEDDINGS).to_pylist()
    return {row["tracklet_id"]: np.array(row["embedding"]) for row in rows}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("validation-*"))


def test_the_model_is_the_same_with_and_without(stages: Stages) -> None:
    looked_at = run(stages, "looked-at", VALIDATED)
    alone = run(stages, "alone", VALIDATED.model_copy(update={"validate_every": 0}))
    assert digests(looked_at)[MODEL] == digests(alone)[MODEL]
    assert files(looked_at) == ["validation-002.parquet", "validation-004.parquet", "validation-005.parquet"]
    assert files(alone) == []


def test_the_last_epochs_embeddings_are_those_of_the_finished_model(stages: Stages, small: Small) -> None:
    out = run(stages, "whole", VALIDATED)
    settings = embed.EmbedSettings(clip_length=VALIDATED.clip_length)
    embed.run(embed.Inputs(small.root, small.test, out, small.encoder), settings, out, silent)
    expected, found = vectors(out / "embeddings.parquet"), vectors(out / "validation-005.parquet")
    assert found.keys() == expected.keys()
    for name, vector in expected.items():
        np.testing.assert_allclose(found[name], vector, atol=1e-6)
    earlier = vectors(out / "validation-002.parquet")
    assert not all(np.allclose(found[name], vector, atol=1e-4) for name, vector in earlier.items())
    assert any(not vector.any() for vector in found.values()), "of one no frame can be read"


@pytest.mark.parametrize("before", [3, 7])
def test_a_training_that_goes_on_from_a_shorter_or_longer_one_has_the_same_embeddings(
    stages: Stages, before: int
) -> None:
    whole = run(stages, "whole", VALIDATED)
    run(stages, "other", VALIDATED.model_copy(update={"epochs": before}))
    other = run(stages, "other", VALIDATED)
    for name in files(whole):
        assert (other / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(("every", "epochs"), [(0, ()), (2, (2, 4, 5)), (5, (5,)), (9, (5,)), (1, (1, 2, 3, 4, 5))])
def test_epochs_are_every_nth_and_the_last(every: int, epochs: tuple[int, ...]) -> None:
    assert FinetuneSettings(epochs=5, validate_every=every).validated_epochs == epochs


def test_without_held_out_people_it_is_refused_with_the_settings() -> None:
    values = {"name": "any", "finetune": {"validate_every": 2}}
    with pytest.raises(SettingsError, match=r"finetune\.validate_every=2 needs held-out .*set data\.folds"):
        make_config(values)
    make_config(values | {"data": {"folds": 4}})
    with pytest.raises(ValidationError):
        FinetuneSettings(validate_every=-1)
