"""What skeletons say of themselves: each measure by hand, and all of them against slow loops."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from extraction.lifting.canonical import LIMBS
from extraction.quality.consistency import consistency, jitter, limb_variation, score_histogram, side_swaps
from storage.skeleton import EDGES, JOINTS, MIRROR_ORDER, MIRROR_PAIRS
from storage.tables.parquet import Ragged

OK, LOW, NO_PERSON, UNREADABLE = range(4)


def standing(frames: int) -> np.ndarray:
    """A body that stays as it is, (T, 17, 3) metres."""
    return np.tile(np.random.default_rng(0).normal(0, 0.3, (17, 3)), (frames, 1, 1)).astype(np.float32)


def walking(frames: int) -> np.ndarray:
    """Keypoints of a person seen from the front who swings arms and legs, left against right, (T, 17, 2) pixels."""
    keypoints = np.zeros((frames, 17, 2), np.float32)
    for j, name in enumerate(JOINTS):
        side = -1 if name.startswith("right") else 1 if name.startswith("left") else 0
        swing = 6 * side * np.sin(0.5 * np.arange(frames)) if name.endswith(("foot", "knee", "wrist", "elbow")) else 0
        keypoints[:, j, 0] = 64 + 14 * side
        keypoints[:, j, 1] = 20 + 10 * min(j, MIRROR_ORDER[j]) + swing  # left and right at one height
    return keypoints


def columns(frames: int) -> dict[str, np.ndarray]:
    return {
        "keypoints_3d": standing(frames),
        "keypoints_2d": walking(frames),
        "scores": np.full((frames, 17), 0.8, np.float32),
        "status": np.zeros(frames, np.uint8),
        "filled": np.zeros(frames, np.bool_),
    }


def one(values: dict[str, np.ndarray]) -> Ragged:
    """A single tracklet."""
    return Ragged(("a",), np.array([0, len(values["status"])]), values)


def test_even_motion_does_not_shake_and_a_jump_does() -> None:
    body = standing(5)
    drift = body + np.arange(5, dtype=np.float32)[:, None, None] * 0.1
    np.testing.assert_allclose(jitter(drift), 0, atol=1e-3)
    body[2, 4] += [0.017, 0, 0]  # one joint, one frame, 17 mm
    np.testing.assert_allclose(jitter(body), [0.5, 1.0, 0.5], atol=1e-3)
    assert jitter(body[:2]).size == 0


def test_a_limb_that_changes_its_length_is_measured() -> None:
    body = standing(2)
    parent, child = EDGES[2]
    along = body[1, child] - body[1, parent]
    body[1, child] += along / np.linalg.norm(along) * 0.02  # 20 mm longer: deviation 10 mm
    variation = limb_variation(body)
    assert variation[2] == pytest.approx(10, abs=1e-2)
    np.testing.assert_allclose(variation[[0, 1]], 0, atol=1e-3)


@pytest.mark.parametrize(("column", "value"), [("status", NO_PERSON), ("status", UNREADABLE), ("filled", True)])
def test_frames_without_a_pose_of_their_own_do_not_count_as_motion(column, value) -> None:
    values = columns(6)
    values[column][3] = value
    values["keypoints_3d"][3] = 7
    values["keypoints_2d"][3] = values["keypoints_2d"][3, MIRROR_ORDER]
    measured = consistency(one(values), [0])
    assert (measured["jitter_mm"], measured["limb_variation_mm"], measured["swaps"]) == (0, 0, 0)


def test_what_no_frame_can_tell_is_none_and_not_zero() -> None:
    values = columns(1)
    measured = consistency(one(values), [0])
    assert (measured["jitter_mm"], measured["limb_variation_mm"], measured["swaps"]) == (None, None, None)
    values["status"][:] = UNREADABLE
    assert consistency(one(values), [0])["mean_score"] is None


def test_filled_frames_are_a_share_and_keep_their_status() -> None:
    values = columns(4)
    values["status"][1], values["filled"][1] = NO_PERSON, True
    measured = consistency(one(values), [0])
    assert measured["filled"] == 0.25
    assert measured["status"] == {"ok": 0.75, "low_confidence": 0, "no_person": 0.25, "unreadable": 0}


def test_skeletons_of_zeros_are_counted_where_there_should_be_one() -> None:
    values = columns(4)
    values["keypoints_3d"][:] = 0
    values["status"][:] = [OK, LOW, NO_PERSON, UNREADABLE]
    assert consistency(one(values), [0])["zero_skeletons"] == 2
    values["filled"][3] = True
    assert consistency(one(values), [0])["zero_skeletons"] == 3


def test_scores_are_counted_in_ten_bins_and_the_last_holds_1() -> None:
    assert score_histogram(np.float32([0, 0.05, 0.1, 0.3, 0.7, 0.99, 1])) == [2, 1, 0, 1, 0, 0, 0, 1, 0, 2]
    assert score_histogram(np.zeros((0, 12), np.float32)) == [0] * 10
    scores = np.random.default_rng(0).random((50, 12))
    assert score_histogram(scores) == np.histogram(scores, bins=10, range=(0, 1))[0].tolist()


def test_only_limbs_of_readable_frames_are_in_the_histogram() -> None:
    values = columns(3)
    values["status"][2] = UNREADABLE
    values["scores"][:, 8] = 0.2  # the thorax is made from other joints
    assert consistency(one(values), [0])["score_histogram"] == [0] * 8 + [2 * len(LIMBS), 0]


def swaps(keypoints: np.ndarray, scores: np.ndarray | None = None) -> list[float]:
    frames = len(keypoints)
    scores = np.ones((frames, 17), np.float32) if scores is None else scores
    return side_swaps(keypoints, scores, np.ones(frames, bool)).tolist()


def test_a_walking_person_does_not_swap_sides() -> None:
    assert swaps(walking(8)) == [0] * 7


def test_one_swapped_frame_is_a_swap_there_and_a_swap_back() -> None:
    keypoints = walking(6)
    keypoints[2] = keypoints[2, MIRROR_ORDER]
    assert swaps(keypoints) == [0, 1, 1, 0, 0]
    keypoints[3:] = keypoints[3:, MIRROR_ORDER]
    assert swaps(keypoints) == [0, 1, 0, 0, 0]


def test_swaps_are_told_per_hundred_pairs_of_frames() -> None:
    values = columns(5)
    values["keypoints_2d"][0] = values["keypoints_2d"][0, MIRROR_ORDER]
    assert consistency(one(values), [0])["swaps"] == 25


def test_where_left_and_right_lie_together_nothing_is_called_a_swap() -> None:
    side_view = np.repeat(walking(1), 6, axis=0)
    side_view[..., 0] = 64 + 0.1 * (side_view[..., 0] - 64)
    side_view += np.arange(6, dtype=np.float32)[:, None, None] * [4, 0]
    side_view[2] = side_view[2, MIRROR_ORDER]
    assert swaps(side_view) == [0] * 5


def test_joints_that_the_estimator_doubts_say_nothing_of_sides() -> None:
    keypoints, scores = walking(3), np.ones((3, 17), np.float32)
    arms = [j for pair in MIRROR_PAIRS[3:] for j in pair]
    keypoints[1, arms] = keypoints[1, [MIRROR_ORDER[j] for j in arms]] + 1
    assert swaps(keypoints) == [0, 0], "the legs say that nothing was swapped"
    for a, _ in MIRROR_PAIRS[:3]:
        scores[1, a] = 0.29  # one doubted joint takes its pair out, for both neighbours
    assert swaps(keypoints, scores) == [1, 1]
    scores[2, MIRROR_PAIRS[4][1]] = 0
    scores[2, MIRROR_PAIRS[5][0]] = 0
    np.testing.assert_equal(swaps(keypoints, scores), [1, np.nan])  # one pair left: nothing can be said


def test_skeletons_imported_without_keypoints_tell_no_swaps() -> None:
    values = columns(4)
    values["keypoints_2d"][:] = 0
    assert consistency(one(values), [0])["swaps"] is None


@pytest.fixture
def many() -> Ragged:
    """Thirty tracklets of 1 to 12 frames with everything that can be wrong with them."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 13, 30)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    keypoints = walking(total) + rng.normal(0, 4, (total, 17, 2)).astype(np.float32)
    exchanged = rng.random(total) < 0.2
    keypoints[exchanged] = keypoints[exchanged][:, MIRROR_ORDER]
    keypoints[rng.random(total) < 0.05] = 0
    skeletons = rng.normal(0, 0.3, (total, 17, 3)).astype(np.float32)
    skeletons[rng.random(total) < 0.1] = 0
    values = {
        "keypoints_3d": skeletons,
        "keypoints_2d": keypoints,
        "scores": rng.random((total, 17)).astype(np.float32) ** 0.2,
        "status": rng.choice(4, total, p=[0.7, 0.1, 0.1, 0.1]).astype(np.uint8),
        "filled": rng.random(total) < 0.1,
    }
    return Ragged(tuple(map(str, range(30))), offsets, values)


def test_all_measures_agree_with_slow_loops(many: Ragged) -> None:
    for positions in (range(30), [3], [5, 11, 29]):
        fast, slow = consistency(many, positions), slowly(many, positions)
        assert fast.keys() == slow.keys()
        for name, value in slow.items():
            assert fast[name] == pytest.approx(value, abs=1e-3), name
    assert 5 < consistency(many, range(30))["swaps"] < 50


def slowly(found: Ragged, positions: Sequence[int]) -> dict[str, object]:
    """`consistency`, a frame and a joint at a time."""
    counts = dict.fromkeys(("ok", "low_confidence", "no_person", "unreadable"), 0)
    bins = [0] * 10
    frames = filled = zeros = 0
    scores, variations, shakes, judged = [], [], [], []
    for i in positions:
        one = {name: found.of(i, name).tolist() for name in found.values}
        length = len(one["status"])
        seen = [one["status"][t] < NO_PERSON and not one["filled"][t] for t in range(length)]
        for t in range(length):
            frames += 1
            filled += one["filled"][t]
            counts[list(counts)[one["status"][t]]] += 1
            should = one["status"][t] < NO_PERSON or one["filled"][t]
            zeros += should and all(x == 0 for joint in one["keypoints_3d"][t] for x in joint)
            if one["status"][t] != UNREADABLE:
                for j in LIMBS:
                    scores.append(one["scores"][t][j])
                    bins[min(9, math.floor(scores[-1] * 10))] += 1
        for t in range(1, length - 1):
            if seen[t - 1] and seen[t] and seen[t + 1]:
                before, now, after = (one["keypoints_3d"][t + d] for d in (-1, 0, 1))
                middles = [[(p + q) / 2 for p, q in zip(a, b, strict=True)] for a, b in zip(before, after, strict=True)]
                shakes.append(1000 * sum(map(math.dist, now, middles)) / 17)
        poses = [one["keypoints_3d"][t] for t in range(length) if seen[t]]
        if len(poses) > 1:
            for a, b in EDGES:
                lengths = [math.dist(pose[a], pose[b]) for pose in poses]
                middle = sum(lengths) / len(lengths)
                variations.append(1000 * math.sqrt(sum((x - middle) ** 2 for x in lengths) / len(lengths)))
        for t in range(1, length):
            swap = slow_swap(one, t) if seen[t] and seen[t - 1] else None
            judged += [] if swap is None else [swap]
    return {
        "tracklets": len(positions),
        "frames": frames,
        "status": {name: count / frames for name, count in counts.items()},
        "filled": filled / frames,
        "zero_skeletons": zeros,
        "mean_score": sum(scores) / len(scores) if scores else None,
        "score_histogram": bins,
        "limb_variation_mm": sum(variations) / len(variations) if variations else None,
        "jitter_mm": sum(shakes) / len(shakes) if shakes else None,
        "swaps": 100 * sum(judged) / len(judged) if judged else None,
    }


def slow_swap(one: dict[str, list], t: int) -> bool | None:
    now, before = one["keypoints_2d"][t], one["keypoints_2d"][t - 1]
    if not any(map(any, now)) or not any(map(any, before)):
        return None
    plain = exchanged = pairs = 0.0
    for a, b in MIRROR_PAIRS:
        if all(one["scores"][time][j] >= 0.3 for time in (t - 1, t) for j in (a, b)):
            pairs += 1
            plain += math.dist(now[a], before[a]) + math.dist(now[b], before[b])
            exchanged += math.dist(now[b], before[a]) + math.dist(now[a], before[b])
    return exchanged < 0.5 * plain if pairs >= 2 else None
