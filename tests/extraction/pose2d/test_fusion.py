import logging

import pytest
import torch
from mmengine.config import Config
from torch import nn

from extraction.pose2d.fusion import fused, keep_layout_when_shuffling, shuffled
from extraction.zoo.mmpose_compat import import_mmpose
from extraction.zoo.pose_model import build
from extraction.zoo.weights import find_config

RTMPOSE_T = "body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(Config.fromfile(find_config(RTMPOSE_T)))


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_batch_norms_go_and_features_stay(model):
    fast = fused(model)
    assert norms(model) > 30  # the model given is left as it is
    assert norms(fast) == 0
    images = torch.randn(2, 3, 256, 192)
    with torch.inference_mode():
        (before,), (after,) = model.extract_feat(images), fast.extract_feat(images)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)


def test_a_model_whose_parts_run_in_another_order_than_named_is_left_as_it_is(model, caplog, monkeypatch):
    class Crossed(nn.Module):
        """Names a convolution before a norm that does not follow it."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)
            self.norm.bias.data.fill_(1)
            self.head = model.head

        def extract_feat(self, images):
            return (self.conv(self.norm(images)),)

    import_mmpose()
    crossed = Crossed().eval()
    with caplog.at_level(logging.WARNING):
        fast = fused(crossed)
    assert norms(fast) == 1
    assert "cannot be folded" in caplog.text


@pytest.mark.parametrize("groups", [2, 4])
def test_channels_are_shuffled_as_mmpose_shuffles_them_without_another_layout(groups):
    import_mmpose()
    from mmpose.models.backbones.utils import channel_shuffle

    images = torch.randn(2, 8, 3, 5).contiguous(memory_format=torch.channels_last)
    assert torch.equal(shuffled(images, groups), channel_shuffle(images, groups))
    assert shuffled(images, groups).is_contiguous(memory_format=torch.channels_last)


def test_mmposes_own_layout_is_shuffled_by_mmpose():
    import_mmpose()
    keep_layout_when_shuffling()
    from mmpose.models.backbones import litehrnet

    images = torch.randn(2, 8, 3, 5)
    assert litehrnet.channel_shuffle(images, 2).is_contiguous()
