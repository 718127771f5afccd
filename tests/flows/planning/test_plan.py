import subprocess
import sys

import pytest


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
