from pathlib import Path

import pytest
from rich.table import Table

from flows.config import load_config
from tests.benchmarks.training import FEW, Bench, Case, stage_1
from training.settings import EncoderSettings, PretrainSettings, SkeletonSettings

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"


@pytest.mark.slow
def test_both_ways_of_stage_1_are_measured_in_one_run(tmp_path: Path) -> None:
    encoder = EncoderSettings(model="small", image_height=32, image_width=16, width=16, depth=1, heads=2, projection=8)
    skeleton = SkeletonSettings(width=16, depth=1, heads=2, hidden=16)
    settings = PretrainSettings(epochs=2, batch=8, clip_length=2, skeleton=skeleton)
    table = Table(*"abcdef")
    said = stage_1(Bench(tmp_path, load_config(CONFIG, []), FEW), Case("small", encoder, settings, 2), table)
    assert "times as fast as the naive way" in said
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert [row[0] for row in rows] == ["stage 1, small", "stage 1 the naive way, small"]
    for row in rows:
        assert float(row[1]) == 3
        assert float(row[3]) > 0
        assert float(row[5]) > 100
