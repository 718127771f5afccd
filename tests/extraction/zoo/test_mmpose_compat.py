import subprocess
import sys
from types import ModuleType

import pytest

from extraction.zoo.mmpose_compat import import_mmpose, placeholders
from storage.errors import EnvironmentProblem


def test_the_pose_models_of_mmpose_are_registered():
    import_mmpose()
    from mmpose.registry import KEYPOINT_CODECS, MODELS

    with_scope = [MODELS.get(name) for name in ("TopdownPoseEstimator", "PoseLifter", "RTMCCHead", "DSTFormer", "TCN")]
    assert None not in with_scope
    assert KEYPOINT_CODECS.get("MotionBERTLabel") is not None


def test_no_placeholder_is_left_behind():
    import_mmpose()
    assert not hasattr(sys.modules.get("mmdet.utils"), "reduce_mean") or sys.modules["mmdet.utils"].__file__


def test_an_installed_module_wins_over_its_placeholder(monkeypatch):
    real = ModuleType("mmdet.utils")
    monkeypatch.setitem(sys.modules, "mmdet.utils", real)
    with placeholders() as added:
        assert "mmdet.utils" not in added
        assert sys.modules["mmdet.utils"] is real
    assert sys.modules["mmdet.utils"] is real


def test_using_a_placeholder_says_what_to_install():
    with placeholders() as added:
        if "mmdet.utils" not in added:
            pytest.skip("mmdet is installed")
        with pytest.raises(EnvironmentProblem, match=r"mmdet\.utils\.reduce_mean"):
            sys.modules["mmdet.utils"].reduce_mean(1)


@pytest.mark.slow
def test_importing_prints_nothing():
    run = subprocess.run(
        [sys.executable, "-c", "from extraction.zoo.mmpose_compat import import_mmpose; import_mmpose()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout + run.stderr == ""
