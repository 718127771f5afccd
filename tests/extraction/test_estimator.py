from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from extraction.estimator import Estimator
from extraction.mmpose_compat import import_mmpose
from extraction.pose_model import build, load
from extraction.weights import PoseModelSettings, find_config
from storage.errors import SettingsError, WeightsError

SHARED = Path(__file__).parents[2].parent / "shared"
TINYPOSE = SHARED / "weights" / "tinypose"
RTMPOSE_T = "body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py"


def tinypose(size: str) -> PoseModelSettings:
    if not TINYPOSE.is_dir():
        pytest.skip("needs the real weights of ../shared/weights/tinypose")
    return PoseModelSettings(
        config=str(TINYPOSE / f"td-hm_litehrnet-widernaive_pptinypose_coco-{size}.py"),
        weights=str(TINYPOSE / f"tinypose_{size}_litehrnet_widernaive_mmpose.pth"),
    )


def model_named(name: str) -> torch.nn.Module:
    if name == "rtmpose-t":
        torch.manual_seed(0)
        return build(Config.fromfile(find_config(RTMPOSE_T)))
    return load(tinypose(name))


def crops() -> list[np.ndarray]:
    """Real crops where there are some, else noise; of different sizes, one of them wider than high."""
    files = sorted((SHARED / "data" / "plaza" / "bbox_train").glob("*/*.jpg"))[::97][:2]
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 255, (20, 10, 3), dtype=np.uint8), (90, 170))
    wide = cv2.resize(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8), (121, 80))
    return [cv2.imread(str(file)) for file in files] + [noise, wide]


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("name", ["rtmpose-t", "128x96", "256x192"])
def test_a_batch_gives_what_mmpose_gives_frame_by_frame(name, flip_test):
    import_mmpose()
    from mmpose.apis import inference_topdown

    model, frames = model_named(name), crops()
    model.test_cfg = {**(model.test_cfg or {}), "flip_test": flip_test}
    expected = [inference_topdown(model, frame)[0].pred_instances for frame in frames]
    keypoints, scores = Estimator(model, flip_test)(frames)
    for row, answer in enumerate(expected):
        np.testing.assert_allclose(keypoints[row], answer.keypoints[0], atol=0.05)
        np.testing.assert_allclose(scores[row], answer.keypoint_scores[0], atol=1e-3)


def test_the_batch_a_frame_travels_in_does_not_change_its_keypoints():
    frames = crops()
    estimate = Estimator(model_named("rtmpose-t"))
    whole, _ = estimate(frames)
    np.testing.assert_array_equal(whole, np.concatenate([estimate([frame])[0] for frame in frames]))


def test_keypoints_are_pixels_of_the_crop_as_it_is_stored():
    """A crop enlarged twice has its keypoints at twice the place."""
    estimate = Estimator(model_named("128x96"))
    frame = crops()[0]
    keypoints, scores = estimate.h36m([frame])
    large, _ = estimate.h36m([cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)])
    sure = scores[0] > 0.5
    assert sure.sum() > 8
    assert np.abs(large - 2 * keypoints)[0, sure].max() < 12  # of 256 x 512


def test_weights_of_another_architecture_are_refused_by_name():
    settings = tinypose("128x96").model_copy(update={"config": RTMPOSE_T})
    with pytest.raises(WeightsError, match=r"do not fit the model: .* keys missing: backbone"):
        load(settings)


def test_a_lifter_is_not_taken_for_an_estimator():
    config = "body_3d_keypoint/image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m.py"
    with pytest.raises(SettingsError, match="not the top-down one"):
        Estimator(build(Config.fromfile(find_config(config))))
