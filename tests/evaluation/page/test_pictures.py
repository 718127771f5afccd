"""Skeletons drawn where the joints are, in colours that tell left from right, at any scale."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from evaluation.page.pictures import (
    LEFT,
    PANEL,
    RIGHT,
    PosedFrames,
    absent,
    draw_skeleton,
    draw_skeleton_3d,
    pose_sheet,
    side_colour,
    tagged,
)
from storage.skeleton import JOINTS, NUM_JOINTS
from storage.tables.schema import FRAME_STATUS

GREY = 128


@pytest.fixture
def frame() -> np.ndarray:
    return np.full((64, 32, 3), GREY, np.uint8)


@pytest.fixture
def spread() -> np.ndarray:
    """Joints on a grid well apart, in pixels of the frame."""
    return np.array([(4 + 8 * (j % 4), 6 + 12 * (j // 4)) for j in range(NUM_JOINTS)], np.float32)


def test_every_joint_is_drawn_on_its_pixel_in_the_colour_of_its_side(frame, spread) -> None:
    picture = draw_skeleton(frame, spread, np.ones(NUM_JOINTS), height=256)
    assert picture.shape == (256, 128, 3)
    for joint, (x, y) in enumerate(spread):
        assert tuple(picture[round(4 * y + 1.5), round(4 * x + 1.5)]) == side_colour(joint), JOINTS[joint]


def test_left_and_right_have_colours_of_their_own() -> None:
    sides = {JOINTS[j]: side_colour(j) for j in range(NUM_JOINTS)}
    assert sides["left_wrist"] == LEFT
    assert sides["right_wrist"] == RIGHT
    assert sides["thorax"] not in (LEFT, RIGHT)


def test_doubted_joints_are_fainter_than_sure_ones(frame, spread) -> None:
    def strength(score: float) -> float:
        picture = draw_skeleton(frame, spread, np.full(NUM_JOINTS, score))
        return float(np.abs(picture.astype(int) - GREY).sum())

    assert 0 < strength(0.1) < strength(0.4) < strength(1.0)


@pytest.mark.parametrize("filled", [False, True])
def test_the_frame_given_is_not_drawn_on(frame, spread, filled) -> None:
    draw_skeleton(frame, spread, np.ones(NUM_JOINTS), height=64, filled=filled)
    assert (frame == GREY).all()


@pytest.mark.parametrize("filled", [False, True])
def test_joints_far_outside_the_frame_do_no_harm(frame, spread, filled) -> None:
    picture = draw_skeleton(frame, spread * 1e7, np.ones(NUM_JOINTS), filled=filled)
    assert picture.shape == (256, 128, 3)


def upright() -> np.ndarray:
    """All joints on one place but for the left foot straight below the left knee, in pixels of the frame."""
    joints = np.full((NUM_JOINTS, 2), 16, np.float32)
    joints[JOINTS.index("left_foot")] = (16, 56)
    return joints


def test_a_filled_pose_is_dashed_and_a_seen_one_is_not(frame) -> None:
    def gaps(*, filled: bool) -> int:
        shank = draw_skeleton(frame, upright(), np.ones(NUM_JOINTS), filled=filled)[80:220, 65]
        drawn = (np.abs(shank.astype(int) - LEFT) < 40).all(-1)
        return int(np.count_nonzero(drawn[:-1] & ~drawn[1:]))

    assert gaps(filled=False) == 0
    assert gaps(filled=True) >= 4


def test_the_scores_of_a_frame_say_nothing_of_the_pose_that_fills_it(frame, spread) -> None:
    doubted, sure = (draw_skeleton(frame, spread, np.full(NUM_JOINTS, s), filled=True) for s in (0.1, 1.0))
    np.testing.assert_array_equal(doubted, sure)
    assert (doubted != GREY).any()


def test_a_tag_is_in_the_corner_and_leaves_the_rest_alone(frame) -> None:
    picture = tagged(np.repeat(np.repeat(frame, 4, 0), 4, 1))
    assert (picture[:12, :30] != GREY).mean() > 0.9
    assert (picture[40:] == GREY).all()


def columns_of(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Mean column of the pixels of about this colour."""
    near = (np.abs(picture.astype(int) - colour) < 40).all(-1)
    return float(np.nonzero(near)[1].mean())


def test_the_3d_views_show_right_and_away_on_the_right() -> None:
    skeleton = np.zeros((NUM_JOINTS, 3), np.float32)
    wrist = JOINTS.index("left_wrist")
    skeleton[wrist] = (0.5, 0, 0)
    seen_from_front = draw_skeleton_3d(skeleton, side=False, width=120, height=120)
    assert columns_of(seen_from_front, LEFT) > 70
    skeleton[wrist] = (0, 0, 0.5)
    seen_from_right = draw_skeleton_3d(skeleton, side=True, width=120, height=120)
    assert columns_of(seen_from_right, LEFT) > 70


@pytest.fixture
def posed(frame, spread) -> Callable[..., PosedFrames]:
    """Frames of these statuses, all holding a pose; an unreadable one is None."""

    def make(*status: str, filled: Sequence[bool] | None = None) -> PosedFrames:
        count = len(status)
        return PosedFrames(
            [None if name == "unreadable" else frame for name in status],
            np.repeat(spread[None], count, 0),
            np.ones((count, NUM_JOINTS), np.float32),
            np.random.default_rng(0).normal(size=(count, NUM_JOINTS, 3)).astype(np.float32) * 0.3,
            np.array([FRAME_STATUS.index(name) for name in status], np.uint8),
            np.array(filled or [False] * count),
        )

    return make


def test_a_sheet_has_a_column_a_frame_and_leaves_out_skeletons_that_are_not_there(posed) -> None:
    sheet = pose_sheet(posed("ok", "no_person", "unreadable"), frame_height=128, view_height=60)
    assert sheet.shape == (128 + 60 + 60 + 8, 3 * 64 + 2 * 4, 3)
    views = [sheet[132:, 68 * t : 68 * t + 64] for t in range(3)]
    assert (views[0] != PANEL).any()
    assert (views[1] == PANEL).all()
    assert (views[2] == PANEL).all()
    assert (sheet[:128, 68:132] == GREY).all(), "a frame without a person stays as it is"
    np.testing.assert_array_equal(sheet[:128, 136:], absent(64, 128))


@pytest.mark.parametrize("status", ["low_confidence", "no_person", "unreadable"])
def test_a_filled_frame_is_tagged_and_shows_its_pose_in_3d_whatever_its_status(posed, status) -> None:
    plain, filled = (pose_sheet(posed(status, filled=[f]), frame_height=128, view_height=60) for f in (False, True))
    assert (filled[132:] != PANEL).any()
    assert (filled[132:] != plain[132:]).any(), "dashed where a pose of its own is not"
    np.testing.assert_array_equal(filled[:4, :10], tagged(filled[:128])[:4, :10])
    assert (filled[:20] != plain[:20]).any()
