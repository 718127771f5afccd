import importlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from extraction.pose2d.estimator import LEAST, Estimator
from extraction.zoo.mmpose_compat import import_mmpose
from extraction.zoo.pose_model import build, load
from extraction.zoo.weights import PoseModelSettings, find_config
from storage.errors import SettingsError, WeightsError

SHARED = Path(__file__).parents[3].parent / "shared"
TINYPOSE = SHARED / "weights" / "tinypose"

RTMPOSE = "body_2d_keypoint/rtmpose/{}-256x192.py"
HEATMAPS = "body_2d_keypoint/topdown_heatmap/coco/td-hm_{}_coco-256x192.py"
RANDOM = {
    "RTMPose-t": RTMPOSE.format("coco/rtmpose-t_8xb256-420e_coco"),
    "RTMPose-s": RTMPOSE.format("coco/rtmpose-s_8xb256-420e_coco"),
    "RTMPose-m": RTMPOSE.format("coco/rtmpose-m_8xb256-420e_coco"),
    "RTMPose-t, Halpe-26": RTMPOSE.format("body8/rtmpose-t_8xb1024-700e_body8-halpe26"),
    "RTMPose-s, Halpe-26": RTMPOSE.format("body8/rtmpose-s_8xb1024-700e_body8-halpe26"),
    "RTMPose-m, Halpe-26": RTMPOSE.format("body8/rtmpose-m_8xb512-700e_body8-halpe26"),
    "HRNet-w32": HEATMAPS.format("hrnet-w32_8xb64-210e"),
    "HRNet-w32, UDP": HEATMAPS.format("hrnet-w32_udp-8xb64-210e"),
    "LiteHRNet-18": HEATMAPS.format("litehrnet-18_8xb64-210e"),
    "HRNet-w8": HEATMAPS.format("hrnet-w32_8xb64-210e"),
    "HRNet-w8, UDP": HEATMAPS.format("hrnet-w32_udp-8xb64-210e"),
}
W8 = {f"model.backbone.extra.stage{n}.num_channels": tuple(8 * 2**i for i in range(n)) for n in (2, 3, 4)}
"""HRNet with a quarter of its channels, a kind that nobody trained: seconds where the published ones take minutes."""
REAL = ("tinypose 128x96", "tinypose 256x192")
QUICK = ("RTMPose-t", "LiteHRNet-18", "tinypose 128x96")


@pytest.fixture(scope="module", autouse=True)
def mmpose() -> None:
    """Imported once, which takes seconds."""
    import_mmpose()
    importlib.import_module("mmpose.apis")


def sizes(*names: str) -> list[object]:
    """Models to test; all but the smallest of each family are slow."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def tinypose(size: str) -> PoseModelSettings:
    if not TINYPOSE.is_dir():
        pytest.skip("needs the real weights of ../shared/weights/tinypose")
    return PoseModelSettings(
        config=str(TINYPOSE / f"td-hm_litehrnet-widernaive_pptinypose_coco-{size}.py"),
        weights=str(TINYPOSE / f"tinypose_{size}_litehrnet_widernaive_mmpose.pth"),
    )


@cache
def model_named(name: str) -> torch.nn.Module:
    if name in REAL:
        return load(tinypose(name.split()[1]))
    torch.manual_seed(0)
    config = Config.fromfile(find_config(RANDOM[name]))
    if "w8" in name:
        config.merge_from_dict(W8 | {"model.head.in_channels": 8})
    model = build(config)
    with torch.no_grad():  # fresh networks answer nearly the same everywhere; these must have clear maxima
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
            elif isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                # LiteHRNet is deep enough for the larger of the two to make chaos of rounding
                init = torch.nn.init.xavier_normal_ if "Lite" in name else torch.nn.init.kaiming_normal_
                init(module.weight)
    return model


def crops() -> list[np.ndarray]:
    """Real crops where there are some, else noise; of different sizes, one of them wider than high, one tiny."""
    files = sorted((SHARED / "data" / "plaza" / "bbox_train").glob("*/*.jpg"))[::97][:2]
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 255, (20, 10, 3), dtype=np.uint8), (90, 170))
    wide = cv2.resize(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8), (121, 80))
    tiny = rng.integers(0, 255, (9, 4, 3), dtype=np.uint8)
    return [cv2.imread(str(file)) for file in files] + [noise, wide, tiny]


@pytest.mark.parametrize("name", sizes(*RANDOM, *REAL))
def test_a_batch_gives_what_mmpose_gives_frame_by_frame_with_its_flip_test_and_without(name, monkeypatch):
    from mmpose.apis import inference_topdown

    model, frames = model_named(name), crops()
    for flip_test in (False, True):
        monkeypatch.setattr(model, "test_cfg", {**(model.test_cfg or {}), "flip_test": flip_test})
        expected = [inference_topdown(model, frame)[0].pred_instances for frame in frames]
        assert np.ptp([answer.keypoints for answer in expected], axis=(0, 1, 2)).min() > 5  # they do answer something
        # scores of random networks are no probabilities: they are compared by their own size
        size = max(1, np.max([answer.keypoint_scores for answer in expected]))
        keypoints, scores = Estimator(model, flip_test)(frames)
        for row, answer in enumerate(expected):
            np.testing.assert_allclose(keypoints[row], answer.keypoints[0], atol=0.05)
            np.testing.assert_allclose(scores[row], answer.keypoint_scores[0], atol=1e-3 * size)


def test_images_are_normalised_to_the_bytes_of_mmposes_preprocessor():
    model = model_named("RTMPose-t")
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8))  # BGR
    expected = model.data_preprocessor({"inputs": pixels.permute(0, 3, 1, 2), "data_samples": []})["inputs"]
    rgb = torch.from_numpy(np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in pixels.numpy()]))
    assert torch.equal(Estimator(model).normalised(rgb), expected)


@pytest.mark.parametrize("name", sizes("RTMPose-t", "RTMPose-s", "tinypose 128x96"))
def test_the_batch_a_frame_travels_in_does_not_change_a_byte_of_its_keypoints(name):
    frames = (crops() * 12)[: LEAST + 4 if name in QUICK else 35]
    estimate = Estimator(model_named(name))
    whole = estimate(frames)
    for size in (1, 5, LEAST + 1):
        parts = [estimate(frames[start : start + size]) for start in range(0, len(frames), size)]
        for all_at_once, in_parts in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(all_at_once, np.concatenate(in_parts))


def test_bf16_is_near_enough_to_see_the_same_person():
    frames = crops()[:2]
    model = model_named("tinypose 256x192")
    exact, scores = Estimator(model)(frames)
    near, _ = Estimator(model, precision="bf16")(frames)
    sure = scores > 0.5
    assert 0 < np.abs(exact - near)[sure].mean() < 2


def test_keypoints_are_pixels_of_the_crop_as_it_is_stored():
    """A crop enlarged twice has its keypoints at twice the place."""
    estimate = Estimator(model_named("tinypose 128x96"))
    frame = crops()[0]
    keypoints, scores = estimate.h36m([frame])
    large, _ = estimate.h36m([cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)])
    sure = scores[0] > 0.5
    assert sure.sum() > 8
    assert np.abs(large - 2 * keypoints)[0, sure].max() < 12  # of 256 x 512


def test_weights_of_another_architecture_are_refused_by_name():
    settings = tinypose("128x96").model_copy(update={"config": RANDOM["RTMPose-t"]})
    with pytest.raises(WeightsError, match=r"do not fit the model: .* keys missing: backbone"):
        load(settings)


def test_a_lifter_is_not_taken_for_an_estimator():
    config = "body_3d_keypoint/image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m.py"
    with pytest.raises(SettingsError, match="not the top-down one"):
        Estimator(build(Config.fromfile(find_config(config))))
