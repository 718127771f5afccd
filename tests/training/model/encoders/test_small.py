import torch

from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.small import fold_necks
from training.model.encoders.trunk import PROJECTED_NORM
from training.model.reid_model import Head
from training.settings import EncoderSettings

SMALL = EncoderSettings(model="small", image_height=32, image_width=16, width=16, depth=1, heads=2, projection=8)


def test_a_folded_encoder_gives_what_its_necks_gave() -> None:
    torch.manual_seed(0)
    encoder, images = VisualEncoder(SMALL).eval(), torch.randint(0, 255, (5, 3, 32, 16))
    necks = [Head(width, 2).neck for width in (16, 8)]
    for neck in necks:
        neck.running_mean.normal_()
        neck.running_var.uniform_(0.01, 2)
        torch.nn.init.uniform_(neck.weight, 0.5, 1.5)
        neck.eval()
    with torch.no_grad():
        before = encoder(images)
        fold_necks(encoder.trunk, *necks)
        after = encoder(images)
        torch.testing.assert_close(after[0][:, 0], necks[0](before[0][:, 0]), rtol=1e-4, atol=1e-4)
        expected = necks[1](before[1][:, 0]) * PROJECTED_NORM / 8**0.5
        torch.testing.assert_close(after[1][:, 0], expected, rtol=1e-4, atol=1e-4)


def test_features_that_share_a_large_offset_are_told_apart_once_folded() -> None:
    torch.manual_seed(0)
    encoder, necks = VisualEncoder(SMALL), [Head(width, 2).neck for width in (16, 8)]
    with torch.no_grad():
        encoder.trunk.norm.bias.fill_(20)
        images = torch.randint(0, 255, (64, 3, 32, 16))
        for neck, part in zip(necks, encoder.eval()(images), strict=True):
            neck.momentum = 1.0
            neck(part[:, 0])
        fold_necks(encoder.trunk, *necks)
        for part, norm in zip(encoder(images), (16**0.5, PROJECTED_NORM), strict=True):
            cls = part[:, 0]
            unit = cls / cls.norm(dim=1, keepdim=True)
            assert abs(float((unit @ unit.T).mean())) < 0.1
            assert 0.7 * norm < float(cls.norm(dim=1).mean()) < 1.3 * norm
