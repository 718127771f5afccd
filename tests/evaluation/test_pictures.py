"""Skeletons drawn where the joints are, in colours that tell left from right, at any scale."""

import numpy as np
import pytest

from evaluation.pictures import (
    LEFT,
    PANEL,
    RIGHT,
    PosedFrames,
    absent,
    draw_skeleton,
    draw_skeleton_3d,
    pose_sheet,
    side_colour,
)
from storage.schema import FRAME_STATUS
from storage.skeleton import JOINTS, NUM_JOINTS

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


def test_the_frame_given_is_not_drawn_on(frame, spread) -> None:
    draw_skeleton(frame, spread, np.ones(NUM_JOINTS), height=64)
    assert (frame == GREY).all()


def test_joints_far_outside_the_frame_do_no_harm(frame, spread) -> None:
    picture = draw_skeleton(frame, spread * 1e7, np.ones(NUM_JOINTS))
    assert picture.shape == (256, 128, 3)


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


def test_a_sheet_has_a_column_a_frame_and_leaves_out_skeletons_that_are_not_there(frame, spread) -> None:
    ok, nobody, unreadable = (FRAME_STATUS.index(s) for s in ("ok", "no_person", "unreadable"))
    count = 3
    posed = PosedFrames(
        [frame, frame, None],
        np.repeat(spread[None], count, 0),
        np.ones((count, NUM_JOINTS), np.float32),
        np.random.default_rng(0).normal(size=(count, NUM_JOINTS, 3)).astype(np.float32) * 0.3,
        np.array([ok, nobody, unreadable], np.uint8),
        np.zeros(count, np.bool_),
    )
    sheet = pose_sheet(posed, frame_height=128, view_height=60)
    assert sheet.shape == (128 + 60 + 60 + 8, 3 * 64 + 2 * 4, 3)
    views = [sheet[132:, 68 * t : 68 * t + 64] for t in range(count)]
    assert (views[0] != PANEL).any()
    assert (views[1] == PANEL).all()
    assert (views[2] == PANEL).all()
    assert (sheet[:128, 68:132] == GREY).all(), "a frame without a person stays as it is"
    np.testing.assert_array_equal(sheet[:128, 136:], absent(64, 128))
