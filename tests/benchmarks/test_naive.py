import pyarrow.parquet as pq
import pytest

from storage.progress import silent
from tests.benchmarks import naive
from tests.training.stages import PRETRAIN, QUIET, Stages
from training.settings import HISTORY


def test_both_ways_see_the_same_batches_and_learn_the_same(stages: Stages) -> None:
    """Kept features are rounded to float16, and Adam takes a step of one length however small a gradient is."""
    firm = PRETRAIN.model_copy(
        update={"skeleton": PRETRAIN.skeleton.model_copy(update={"dropout": 0.0}), "warmup_epochs": 3}
    )
    small = stages.small
    frames = small.root / "bbox_train/0001"  # one cannot be read: kept features have none, the other way a black one
    (frames / "0001C1T0001F002.jpg").write_bytes((frames / "0001C1T0001F003.jpg").read_bytes())
    kept = stages.run("pretrain", "kept", firm)
    inputs = naive.Inputs(small.root, (small.train,), (small.skeletons,), stages.ready("visual"), small.encoder, QUIET)
    (out := stages.root / "naive").mkdir()
    naive.run(inputs, firm, out, silent)
    ours, theirs = (pq.read_table(folder / HISTORY) for folder in (kept, out))
    ours, theirs = (table["loss"].to_pylist() for table in (ours, theirs))
    assert theirs[0] == pytest.approx(ours[0], rel=2e-3), "before anything is learnt"
    assert theirs == pytest.approx(ours, rel=0.1)
