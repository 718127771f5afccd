import numpy as np
import pytest

from extraction.joints import joint_map
from extraction.mmpose_compat import import_mmpose
from storage.errors import SettingsError
from storage.skeleton import JOINTS


def test_coco_becomes_human36m_as_mmpose_converts_it():
    import_mmpose()
    from mmpose.apis import convert_keypoint_definition

    keypoints = np.random.default_rng(0).uniform(0, 200, (5, 17, 2)).astype(np.float32)
    expected = convert_keypoint_definition(keypoints, "coco", "h36m")
    np.testing.assert_allclose(joint_map("coco", 17).keypoints(keypoints), expected, rtol=1e-5)


def test_a_made_joint_is_as_sure_as_its_least_sure_source():
    scores = np.ones((1, 17), np.float32)
    scores[0, 11] = 0.25  # the left hip
    mapped = dict(zip(JOINTS, joint_map("coco", 17).scores(scores)[0], strict=True))
    unsure = {name for name, score in mapped.items() if score < 1}
    assert unsure == {"pelvis", "left_hip", "spine"}
    assert mapped["spine"] == 0.25


def test_a_model_of_human36m_joints_is_left_as_it_is():
    keypoints = np.random.default_rng(0).normal(size=(2, 17, 2)).astype(np.float32)
    scores = np.random.default_rng(1).uniform(size=(2, 17)).astype(np.float32)
    same = joint_map("h36m", 17)
    np.testing.assert_array_equal(same.keypoints(keypoints), keypoints)
    np.testing.assert_array_equal(same.scores(scores), scores)


def test_left_and_right_keep_their_sides():
    keypoints = np.zeros((17, 2), np.float32)
    keypoints[[5, 7, 9, 11, 13, 15]] = 1  # COCO's left arm and leg
    mapped = joint_map("coco", 17).keypoints(keypoints)
    for name, point in zip(JOINTS, mapped, strict=True):
        if name.startswith(("left", "right")):
            assert point[0] == name.startswith("left")


@pytest.mark.parametrize(("definition", "joints"), [("crowdpose", 14), ("coco", 26)])
def test_an_unknown_definition_is_refused_by_name(definition, joints):
    with pytest.raises(SettingsError, match=definition):
        joint_map(definition, joints)
