"""Ways to damage a tree of files: each changes a tree at random, in place."""

import re
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import scipy.sparse

from storage.datasets.matlab import read_matrix
from tests.storage.datasets.trees import Tree, mat, mat73

Random = np.random.Generator
Mutation = Callable[[Tree, Random], None]


def one_of(names: list[str], rng: Random) -> str:
    return names[rng.integers(len(names))]


def lists_of(tree: Tree) -> list[str]:
    return sorted(name for name in tree if name.endswith((".txt", ".mat", ".json", ".csv", ".parquet")))


def texts_of(tree: Tree) -> list[str]:
    return [name for name in lists_of(tree) if name.endswith((".txt", ".json", ".csv"))]


def other_digit(text: str, rng: Random) -> str:
    places = [m.start() for m in re.finditer(r"\d", text)]
    if not places:
        return text + "1"
    place = places[rng.integers(len(places))]
    return f"{text[:place]}{rng.integers(10)}{text[place + 1 :]}"


def delete_a_file(tree: Tree, rng: Random) -> None:
    del tree[one_of(sorted(tree), rng)]


def delete_a_list(tree: Tree, rng: Random) -> None:
    if lists_of(tree):
        del tree[one_of(lists_of(tree), rng)]


def delete_a_folder(tree: Tree, rng: Random) -> None:
    folder = one_of(sorted(tree), rng).rpartition("/")[0]
    for name in [n for n in tree if n.startswith(f"{folder}/") or not folder]:
        del tree[name]


def empty_a_folder_but_for_junk(tree: Tree, rng: Random) -> None:
    folder = one_of(sorted(tree), rng).rpartition("/")[0]
    delete = [n for n in tree if n.rpartition("/")[0] == folder]
    for name in delete:
        del tree[name]
    tree[f"{folder}/Thumbs.db"] = b""


def rename(tree: Tree, rng: Random) -> None:
    name = one_of(sorted(tree), rng)
    tree[other_digit(name, rng)] = tree.pop(name)


def copy_under_another_name(tree: Tree, rng: Random) -> None:
    name = one_of(sorted(tree), rng)
    tree[other_digit(name, rng)] = tree[name]


def odd_name(tree: Tree, rng: Random) -> None:
    name = one_of(sorted(tree), rng)
    folder, _, last = name.rpartition("/")
    odd = one_of(["é", "１", "²", " ", "\n", "\\", "\udc80", "..", "-", "x", "9" * 200, ".JPG", "\0"], rng)
    place = rng.integers(len(last) + 1)
    tree[f"{folder}/{last[:place]}{odd}{last[place:]}".lstrip("/")] = tree.pop(name)


def put_deeper(tree: Tree, rng: Random) -> None:
    name = one_of(sorted(tree), rng)
    folder, _, last = name.rpartition("/")
    tree[f"{folder}/deeper/{last}".lstrip("/")] = tree.pop(name)


def damage_bytes(tree: Tree, rng: Random) -> None:
    if lists_of(tree):
        name = one_of(lists_of(tree), rng)
        content = bytearray(tree[name])
        for _ in range(rng.integers(1, 4)):
            if content:
                content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        tree[name] = bytes(content)


def truncate(tree: Tree, rng: Random) -> None:
    if lists_of(tree):
        name = one_of(lists_of(tree), rng)
        tree[name] = tree[name][: rng.integers(len(tree[name]) + 1)]


def change_lines(tree: Tree, rng: Random) -> None:
    if not texts_of(tree):
        return
    name = one_of(texts_of(tree), rng)
    lines = tree[name].decode(errors="replace").split("\n")
    a, b = rng.integers(len(lines), size=2)
    kind = rng.integers(8)
    if kind == 0:
        lines[a], lines[b] = lines[b], lines[a]
    elif kind == 1:
        lines.insert(int(a), lines[b])
    elif kind == 2:
        del lines[a]
    elif kind == 3:
        lines[a] = ""
    elif kind == 4:
        lines[a] = one_of(["../", "/etc/", "./", "é", "\x0b", "\x85", "a b ", ",", '"', "{"], rng) + lines[a]
    elif kind == 5:
        lines[a] += one_of([" 1", "\r", "\x1c", "é", ".", ",,", "\t"], rng)
    else:
        lines[a] = other_digit(lines[a], rng)
    tree[name] = "\n".join(lines).encode()


def exchange_words(tree: Tree, rng: Random) -> None:
    if texts_of(tree):
        name = one_of(texts_of(tree), rng)
        words = re.split(r"([\s,\"/]+)", tree[name].decode(errors="replace"))
        a, b = rng.integers(len(words), size=2)
        words[a], words[b] = words[b], words[a]
        tree[name] = "".join(words).encode()


def change_a_matrix(tree: Tree, rng: Random) -> None:
    names = [name for name in lists_of(tree) if name.endswith(".mat")]
    if not names:
        return
    name = one_of(names, rng)
    variable = {"query_IDX.mat": "query_IDX", "info_test.mat": "query"}.get(name.rpartition("/")[2], "ls_set")
    if "tracks" in name:
        variable = f"track_{name.split('_')[1]}_info"
    if "skeleton" in name:
        variable = "d_skel"
    try:
        values = read_matrix(tree[name], variable).astype(float)
    except Exception:  # damaged before: then it stays so
        return
    changed = values.copy()
    if changed.size:
        flat = changed.reshape(-1)
        value = rng.choice([-1, 0, 1, 2, 3, 5, 1.5, np.nan, np.inf, 1e300, 2**31, 2**40, -7])
        flat[rng.integers(flat.size)] = value
    others = [
        changed,
        changed,
        changed,
        values[:-1],
        values[:, :-1],
        values[::-1],
        values.T,
        np.concatenate([values, values[-1:]]),
        values[None],
        values.ravel(),
        values + 1j,
        values > 1,
        values.astype("U5"),
        np.array([["x", values]], dtype=object),
        {"inner": values},
        scipy.sparse.csc_matrix(values) if values.ndim == 2 else values,
        np.zeros((0, 4)),
        "words",
    ]
    chosen = others[rng.integers(len(others))]
    called = variable if rng.random() < 0.9 else "another"
    plain = isinstance(chosen, np.ndarray) and chosen.dtype.kind in "fb"
    tree[name] = mat73(**{called: chosen}) if plain and rng.random() < 0.5 else mat(**{called: chosen})


MUTATIONS: list[Mutation] = [
    delete_a_file,
    delete_a_list,
    delete_a_folder,
    empty_a_folder_but_for_junk,
    rename,
    rename,
    copy_under_another_name,
    odd_name,
    put_deeper,
    damage_bytes,
    damage_bytes,
    truncate,
    *[change_lines] * 5,
    exchange_words,
    *[change_a_matrix] * 3,
]


def damaged(sound: Tree, seed: int) -> tuple[Tree, str]:
    """A copy with one to three changes, and what they were."""
    rng = np.random.default_rng(seed)
    tree = dict(sound)
    applied = [MUTATIONS[rng.integers(len(MUTATIONS))] for _ in range(rng.integers(1, 4))]
    for mutation in applied:
        if tree:
            mutation(tree, rng)
    return tree, f"seed {seed}: {[mutation.__name__ for mutation in applied]}"


def damaged_trees(sound: Tree) -> Iterator[tuple[Tree, str]]:
    """Trees that differ from the sound one, without end, and how each was made."""
    for seed in count():
        tree, how = damaged(sound, seed)
        if tree != sound:
            yield tree, how
