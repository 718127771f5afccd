"""Kinds of skeletons that a data set brings along: names of joints, bones, root."""

from collections import Counter
from collections.abc import Sequence

from storage.bones import tree
from storage.skeleton import SKELETON_TYPES, SkeletonType, other_side

ROOTS = ("pelvis", "hip_center", "spine_base", "mid_hip", "hips", "hip")
"""Names of the joint between the hips, as data sets have them."""

FEWEST = 3


def own_kind(joints: Sequence[str], bones: Sequence[Sequence[int]], root: Sequence[str] = ()) -> SkeletonType:
    """The kind of skeleton that a file describes; one of ours where it is the same.

    Args:
        joints: names; left and right are told by a word of it, `left_foot` or `foot_left`.
        bones: pairs of positions in `joints`.
        root: names of the joints that the root is the mean of; by default the joint between the hips, or the two hips.

    Raises:
        ValueError: lists what is wrong, a line each.
    """
    problems = [f"joint_names: {name!r} is there {times} times" for name, times in Counter(joints).items() if times > 1]
    if len(joints) < FEWEST:
        problems.append(f"joint_names: {len(joints)} joints are no skeleton")
    problems += [
        f"joint_names: {name!r} has no {other_side(name)!r} on the other side"
        for name in dict.fromkeys(joints)
        if other_side(name) not in joints
    ]
    edges, used = [], set()
    for number, (a, b) in enumerate(bones):
        if not (0 <= a < len(joints) and 0 <= b < len(joints)):
            problems.append(f"bones: bone {number} joins {a} and {b}, but joints are 0 to {len(joints) - 1}")
        elif a == b or frozenset((a, b)) in used:
            problems.append(
                f"bones: bone {number} joins {a} and {b}, {'which is no bone' if a == b else 'a second time'}"
            )
        else:
            used.add(frozenset((a, b)))
            edges.append((int(a), int(b)))
    named = _root_of(joints, root)
    problems += [f"root: there is no joint {name!r}" for name in named if name not in joints]
    if not named:
        problems.append(
            f"root: no joint is called {', '.join(ROOTS)}, nor hips left and right: name it in an array `root`"
        )
    if not problems:
        kind = SkeletonType(
            f"own{len(joints)}", tuple(joints), tuple(edges), tuple(joints.index(name) for name in named)
        )
        loose = set(range(len(joints))) - {kind.root[0], *(child for _, child in tree(kind))}
        problems += [f"bones: no bone leads from the root to {joints[joint]!r}" for joint in sorted(loose)]
    if problems:
        raise ValueError("\n".join(problems))
    same = (ours for ours in SKELETON_TYPES.values() if vars(ours) | {"name": kind.name} == vars(kind))
    return next(same, kind)


def _root_of(joints: Sequence[str], root: Sequence[str]) -> tuple[str, ...]:
    if root:
        return tuple(root)
    between = [name for name in ROOTS if name in joints]
    if between:
        return (between[0],)
    pairs = (("left_hip", "right_hip"), ("hip_left", "hip_right"))
    return next((pair for pair in pairs if set(pair) <= set(joints)), ())
