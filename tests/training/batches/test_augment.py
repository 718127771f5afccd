import numpy as np
import torch

from tests.storage.mirrors import mirror
from training.batches.augment import augmented, draw, mirror_skeletons, mirrored
from training.settings import AugmentSettings

OFF = AugmentSettings(flip=0, shift=0, colour=0, erase=0)


def clips(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 255, (count, 2, 3, 16, 8), generator=generator, dtype=torch.uint8)
    return images, torch.randn(count, 2, 17, 3, generator=generator)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def augment(
    images: torch.Tensor, skeletons: torch.Tensor | None, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor | None]:
    draws = draw(len(images), images.shape[1], settings, rng)
    return augmented(images, draws, settings), None if skeletons is None else mirrored(skeletons, draws.flipped)


def test_a_mirrored_clip_gets_the_mirrored_skeleton_and_no_other_does() -> None:
    images, skeletons = clips()
    flipped, joints = augment(images, skeletons, OFF.model_copy(update={"flip": 0.5}), seeded())
    assert joints is not None
    turned = 0
    for before, after, s, j in zip(images.float(), flipped, skeletons, joints, strict=True):
        if torch.equal(after, before.flip(-1)):
            turned += 1
            torch.testing.assert_close(j, torch.from_numpy(mirror(s.numpy())))
        else:
            assert torch.equal(after, before)
            assert torch.equal(j, s)
    assert 20 < turned < 44


def test_mirroring_skeletons_agrees_with_the_skeletons_definition() -> None:
    _, skeletons = clips(3)
    torch.testing.assert_close(mirror_skeletons(skeletons), torch.from_numpy(mirror(skeletons.numpy())))


def test_erasing_takes_one_rectangle_anywhere_in_half_of_the_frames() -> None:
    images, _ = clips(400)
    erased, _ = augment(images, None, OFF.model_copy(update={"erase": 0.5}), seeded())
    gone = (erased != images).all(dim=2).flatten(0, 1)  # (frames, H, W)
    touched = gone.flatten(1).any(1)
    assert 0.4 < touched.float().mean() < 0.6
    for mask in gone[touched][:50]:
        rows, columns = mask.any(1).nonzero().ravel(), mask.any(0).nonzero().ravel()
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), "one full rectangle"
    where = gone.float().mean(0)
    assert where[:8].mean() > 0.02
    assert where[8:].mean() > 0.02, "not always in one corner"


def test_what_is_erased_has_one_random_colour_and_2_to_20_percent_of_the_area_in_aspects_of_3_to_a_third() -> None:
    images = torch.zeros(300, 2, 3, 160, 80, dtype=torch.uint8)
    erased, _ = augment(images, None, OFF.model_copy(update={"erase": 1.0}), seeded())
    shares, aspects, colours = [], [], []
    for frame in erased.flatten(0, 1):
        mask = frame.amax(0) > 0
        rows, columns = mask.any(1).nonzero().ravel(), mask.any(0).nonzero().ravel()
        found = frame[:, mask].unique(dim=1)
        assert found.shape == (3, 1), "one colour"
        colours.append(found[:, 0])
        shares.append(float(mask.float().mean()))
        aspects.append(len(rows) / len(columns))
    assert 0.015 < min(shares) < 0.03
    assert 0.17 < max(shares) < 0.21
    assert 0.27 < min(aspects) < 0.4
    assert 2.6 < max(aspects) < 3.6
    spread = torch.stack(colours)
    assert (spread.std(0) > 60).all(), "of each channel, all over 0 to 255"


def test_the_same_seed_gives_the_same_clips() -> None:
    images, skeletons = clips()
    settings = AugmentSettings(shift=2, colour=0.3)
    one, two, other = (augment(images, skeletons, settings, seeded(s))[0] for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_shift_moves_every_frame_of_a_clip_alike() -> None:
    images, _ = clips(32)
    same = images[:, :1].expand(-1, 2, -1, -1, -1)
    moved, _ = augment(same, None, OFF.model_copy(update={"shift": 3}), seeded())
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert not torch.equal(moved, same.float())
