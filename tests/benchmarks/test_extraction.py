import pytest

from extraction.zoo.weights import find_config, locate
from tests.benchmarks.extraction import Bench
from tests.benchmarks.extraction_cases import Case, estimators


@pytest.mark.slow
def test_both_sides_do_the_same_frames_with_the_same_weights(make_mars, tmp_path):
    bench = Bench(make_mars(), tmp_path, loop_frames=3)
    case: Case = estimators(tmp_path / "no weights", tmp_path)[0]
    job = {"config": str(find_config(case.settings.config)), "weights": str(locate(case.settings))}
    theirs = bench.run("mmpose_side", {**job, "frames": bench.some_frames()})
    assert set(theirs) == {"loop", "loop, flip", "inferencer"}
    ours = bench.ours("whole", {"estimator": case.settings.model_dump(), "device": "cpu"}, count=10)
    lengths = [len(tracklet.frames) for tracklet in bench.tracklets]
    assert ours["frames"] == sum((lengths * 10)[:10])
    assert set(ours["steps"]) == {"read", "decode", "preprocess", "2D", "lift", "write"}
    assert all(value > 0 for value in (*theirs.values(), *ours["steps"].values(), ours["wall"], ours["peak_mb"]))
