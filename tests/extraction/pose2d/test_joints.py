import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.pose2d.joints import joint_map
from extraction.zoo.mmpose_compat import import_mmpose
from storage.errors import SettingsError
from storage.skeleton import JOINTS


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


PLACE = st.floats(-300, 300, width=32)


@settings(deadline=None)  # the first example imports mmpose
@given(st.lists(st.tuples(PLACE, PLACE), min_size=17, max_size=17))
def test_coco_becomes_human36m_as_mmpose_converts_any_pose(points):
    import_mmpose()
    from mmpose.apis import convert_keypoint_definition

    keypoints = np.array([points], np.float32)
    expected = convert_keypoint_definition(keypoints, "coco", "h36m")
    np.testing.assert_allclose(joint_map("coco", 17).keypoints(keypoints), expected, atol=1e-3)


def a_person_facing_the_camera() -> dict[str, tuple[float, float]]:
    """Points of a body by name, x to the right of the picture: the person's left is there."""
    body = {"nose": (0, 15), "head": (0, 0), "neck": (0, 30), "hip": (0, 90)}
    for side, x in (("left", 1), ("right", -1)):
        limbs = {"eye": (3, 12), "ear": (6, 14), "shoulder": (20, 32), "elbow": (25, 55), "wrist": (28, 78)}
        limbs |= {"hip": (12, 90), "knee": (13, 130), "ankle": (14, 170)}
        limbs |= {"big_toe": (20, 178), "small_toe": (24, 177), "heel": (12, 176)}
        body |= {f"{side}_{name}": (x * place[0], place[1]) for name, place in limbs.items()}
    return body


EXPECTED = {
    "right_hip": (-12, 90),
    "right_knee": (-13, 130),
    "right_foot": (-14, 170),
    "left_hip": (12, 90),
    "left_knee": (13, 130),
    "left_foot": (14, 170),
    "left_shoulder": (20, 32),
    "left_elbow": (25, 55),
    "left_wrist": (28, 78),
    "right_shoulder": (-20, 32),
    "right_elbow": (-25, 55),
    "right_wrist": (-28, 78),
    "pelvis": (0, 90),
    "neck_base": (0, 15),
}
AXIS = {
    # COCO has no joint on the trunk: it is between the shoulders; nor the top of the head: it is between the eyes
    "coco": {"thorax": (0, 32), "spine": (0, 61), "head": (0, 12)},
    "halpe26": {"thorax": (0, 30), "spine": (0, 60), "head": (0, 0)},
}


@pytest.mark.parametrize("definition", AXIS)
def test_a_person_facing_the_camera_keeps_every_joint_in_its_place(definition):
    import_mmpose()
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    names = parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{definition}.py"})["keypoint_id2name"]
    body = a_person_facing_the_camera()
    keypoints = np.array([body[names[i]] for i in range(len(names))], np.float32)
    mapped = joint_map(definition, len(names)).keypoints(keypoints)
    expected = EXPECTED | AXIS[definition]
    np.testing.assert_allclose(mapped, [expected[joint] for joint in JOINTS])


@pytest.mark.parametrize("definition", ["coco", "halpe26", "h36m"])
def test_every_joint_is_a_mean_of_joints(definition):
    count = {"coco": 17, "halpe26": 26, "h36m": 17}[definition]
    np.testing.assert_allclose(joint_map(definition, count).mixing.sum(1), 1)


@pytest.mark.parametrize(("definition", "joints"), [("crowdpose", 14), ("coco", 26)])
def test_an_unknown_definition_is_refused_by_name(definition, joints):
    with pytest.raises(SettingsError, match=definition):
        joint_map(definition, joints)
