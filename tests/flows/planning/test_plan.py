import subprocess
import sys
from pathlib import Path

import pytest

from flows.config import make_config
from flows.planning.plan import plan
from storage.errors import SettingsError


@pytest.mark.parametrize("module", ["flows.planning.plan", "flows.rebuild"])
def test_a_run_that_may_have_nothing_to_do_imports_nothing_that_computes(module: str) -> None:
    """Torch alone is 4 s and 0.6 GB."""
    code = (
        f"import sys, {module}, flows.keys.reach\n"
        "for stage in ('training.finetune', 'extraction.extract', 'evaluation.report'):\n"
        "    flows.keys.reach.code_digests(stage)\n"
        "print(*{'torch', 'torchvision', 'timm', 'mmengine', 'mmpose', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("model", "says"),
    [("osnet_x0_2", "osnet_x0_25"), ("resnet500", "resnet50"), ("mine.py:Mine", "there is no such file")],
)
def test_a_visual_encoder_that_there_is_not_is_told_before_the_data_is_read(
    model: str, says: str, tmp_path: Path
) -> None:
    data = {"root": str(tmp_path / "absent")}
    config = make_config({"name": "any", "store": str(tmp_path / "store"), "data": data, "encoder": {"model": model}})
    with pytest.raises(SettingsError, match=says):
        plan(config)


def test_a_plan_with_clip_waits_for_no_library_of_models() -> None:
    code = (
        "import sys\n"
        "from training.model.encoders.names import check_name\n"
        "from training.settings import CLIP\n"
        "for model in (CLIP, 'small', 'osnet_x1_0'):\n"
        "    check_name(model)\n"
        "print(*{'torch', 'timm'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
