import numpy as np

from extraction.pose2d.keypoints import Poses2D
from extraction.poses import Thresholds, frame_status, skeletons_of
from extraction.skeletons import LOW_CONFIDENCE, NO_PERSON, OK, UNREADABLE

THRESHOLDS = Thresholds(min_score=0.3, no_person_score=0.1, max_gap=0)


class Recorder:
    """A lifter that answers ones, and keeps what it was given."""

    def lift(self, tracklets):
        self.seen = tracklets
        return [np.ones((len(poses.keypoints), 17, 3), np.float32) for poses in tracklets]


def estimates(scores: list[float], readable: list[bool]) -> Poses2D:
    found = Poses2D.empty(len(scores))
    found.scores[:] = np.array(scores)[:, None]
    found.keypoints[:] = np.arange(len(scores), dtype=np.float32)[:, None, None]
    found.sizes[readable] = (64, 128)
    return found


def test_a_frames_status_says_how_sure_its_limbs_are():
    found = estimates([0.9, 0.25, 0.05, 0.0], [True, True, True, False])
    assert frame_status(found, THRESHOLDS).tolist() == [OK, LOW_CONFIDENCE, NO_PERSON, UNREADABLE]
    found.scores[0, [0, 7, 8, 9, 10]] = 0  # pelvis, spine, thorax, neck and head are not limbs
    assert frame_status(found, THRESHOLDS)[0] == OK


def test_the_lifter_sees_frames_without_a_person_as_even_motion_between_the_others():
    found = estimates([0.9, 0.05, 0.0, 0.2, 0.05], [True, True, False, True, True])
    found.keypoints[3] = 9
    lifter = Recorder()
    (columns,) = skeletons_of([found], lifter, THRESHOLDS)
    np.testing.assert_allclose(lifter.seen[0].keypoints[:, 0, 0], [0, 3, 6, 9, 9], rtol=1e-6)
    assert (lifter.seen[0].sizes == [64, 128]).all()
    assert columns["keypoints_3d"][:, 1, 0].tolist() == [1, 0, 0, 1, 0]
    np.testing.assert_allclose(columns["keypoints_2d"][:, 1, 0], [0, 0, 0, 9, 0])
    np.testing.assert_allclose(columns["scores"][:, 0], [0.9, 0.05, 0.0, 0.2, 0.05])
    assert not columns["filled"].any()


def test_runs_up_to_max_gap_between_two_good_frames_are_filled_and_marked():
    scores = [0.2, 0.9, 0.2, 0.05, 0.0, 0.9, 0.05, 0.05, 0.05, 0.05, 0.9, 0.05]
    found = estimates(scores, [score > 0 for score in scores])
    found.keypoints[2] = 50  # an unsure frame is not believed where it can be filled
    lifter = Recorder()
    (columns,) = skeletons_of([found], lifter, Thresholds(0.3, 0.1, max_gap=3))
    assert np.flatnonzero(columns["filled"]).tolist() == [2, 3, 4]
    np.testing.assert_allclose(columns["keypoints_2d"][:6, 0, 0], [0, 1, 2, 3, 4, 5], rtol=1e-6)
    assert columns["keypoints_3d"][:, 1, 0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0]
    assert columns["status"][2:5].tolist() == [LOW_CONFIDENCE, NO_PERSON, UNREADABLE]
    np.testing.assert_allclose(columns["scores"][:, 0], scores)
    np.testing.assert_allclose(lifter.seen[0].scores[2:5], 0.9)


def test_what_is_filled_moves_evenly_within_crops_that_change_their_size():
    found = estimates([0.9, 0.05, 0.9], [True, True, True])
    found.keypoints[:] = np.array([10, 0, 60])[:, None, None]
    found.sizes[:] = [[100, 200], [200, 400], [200, 400]]
    (columns,) = skeletons_of([found], Recorder(), Thresholds(0.3, 0.1, max_gap=1))
    np.testing.assert_allclose(columns["keypoints_2d"][1, 0], [40, 40], rtol=1e-5)


def test_a_tracklet_with_nobody_in_it_is_all_zeros():
    nobody, empty = skeletons_of([estimates([0.0, 0.05], [False, True]), Poses2D.empty(0)], Recorder(), THRESHOLDS)
    assert nobody["status"].tolist() == [UNREADABLE, NO_PERSON]
    assert not nobody["keypoints_3d"].any()
    assert empty["keypoints_3d"].shape == (0, 17, 3)
