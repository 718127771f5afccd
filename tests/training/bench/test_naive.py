import pyarrow.parquet as pq
import pytest

from storage.progress import silent
from tests.training.stages import PRETRAIN, QUIET, Stages
from training.bench import naive
from training.settings.files import HISTORY


def test_both_ways_see_the_same_batches_and_learn_the_same(stages: Stages) -> None:
    """Kept features are rounded to float16, and a frame that cannot be read has none: hence the tolerance."""
    firm = PRETRAIN.model_copy(
        update={"skeleton": PRETRAIN.skeleton.model_copy(update={"dropout": 0.0}), "warmup_epochs": 3}
    )
    kept = stages.run("pretrain", "kept", firm)
    small = stages.small
    inputs = naive.Inputs(small.root, (small.train,), (small.skeletons,), stages.ready("visual"), small.encoder, QUIET)
    (out := stages.root / "naive").mkdir()
    naive.run(inputs, firm, out, silent)
    ours, theirs = (pq.read_table(folder / HISTORY) for folder in (kept, out))
    assert theirs["loss"][0].as_py() == pytest.approx(ours["loss"][0].as_py(), rel=0.02)
    assert len(theirs) == len(ours)
