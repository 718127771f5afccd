"""Digests of the code that a stage can reach inside our own packages, a function or class at a time."""

from functools import lru_cache
from pathlib import Path

from flows.keys.reach import ROOT, Reach, reach


def code_digests(module: str, root: Path = ROOT) -> dict[str, str]:
    """Dotted name -> digest, for every definition that the stage in `module` can reach; sorted.

    What importing a module does besides defining names counts under the name of the module.

    Args:
        module: dotted name; its `run` and `Inputs` are where a stage begins. Without them, everything in it counts.
        root: the folder that our packages lie in.

    Returns:
        Not to be changed: thousands of steps share it.
    """
    return _digests(reach(module, root))


@lru_cache(maxsize=64)
def _digests(reached: Reach) -> dict[str, str]:
    return {f"{name}.{part}" if part else name: digest for (name, part), digest in sorted(reached.units.items())}
