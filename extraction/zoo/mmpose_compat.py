"""Importing mmpose where mmcv has no compiled operators and mmdet is not installed.

mmpose 1.3 imports names of `mmcv.ops` and `mmdet.utils` for heads that nothing here uses (EDPose, RTMO). They get
placeholders while `mmpose.models` is imported; an installed mmcv (not -lite) or mmdet always wins.
"""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from storage.errors import EnvironmentProblem

PLACEHOLDERS = {
    "mmcv.ops": ("MultiScaleDeformableAttention",),
    "mmdet": (),
    "mmdet.utils": ("ConfigType", "reduce_mean"),
}
"""Module -> the names that `mmpose.models` imports from it."""

PROOF = {"mmcv.ops": "mmcv._ext"}
"""Where a module's presence says nothing: mmcv-lite ships the Python half of mmcv.ops, without what it wraps."""


def _absent(module: str) -> bool:
    if module in sys.modules:
        return False
    try:
        return find_spec(PROOF.get(module, module)) is None
    except ModuleNotFoundError:  # its parent package is absent
        return True


def _unavailable(module: str, name: str) -> type:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise EnvironmentProblem(
            f"this pose model needs {module}.{name}, which is not installed",
            where="mmpose",
            fix="install mmcv with compiled operators and mmdet, or choose another model",
        )

    return type(name, (), {"__new__": fail, "__module__": module})


@contextmanager
def placeholders() -> Iterator[tuple[str, ...]]:
    """Stand-ins for the absent modules of `PLACEHOLDERS`, gone again at the end lest anybody takes them for real."""
    added = tuple(filter(_absent, PLACEHOLDERS))
    for module in added:
        sys.modules[module] = stand_in = ModuleType(module)
        stand_in.__path__ = []
        for name in PLACEHOLDERS[module]:
            setattr(stand_in, name, _unavailable(module, name))
    try:
        yield added
    finally:
        for module in added:
            del sys.modules[module]


@cache
def import_mmpose() -> None:
    """Register mmpose's models, codecs, datasets and transforms, and make mmpose the default scope.

    Raises:
        EnvironmentProblem: mmpose is not installed, or this version wants more than the placeholders give.
    """
    with warnings.catch_warnings(), placeholders():
        warnings.simplefilter("ignore")
        try:
            for part in ("models", "codecs", "datasets", "apis"):
                importlib.import_module(f"mmpose.{part}")
        except ImportError as error:
            raise EnvironmentProblem(
                f"mmpose cannot be imported: {error}",
                where="mmpose, mmcv, mmengine",
                fix="install the versions of requirements.lock",
            ) from error
    # mmpose says so at every forward pass; nobody who runs a model can do anything about it
    warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.autocast", category=FutureWarning)
    warnings.filterwarnings("ignore", message="Passing more than 2 positional", category=DeprecationWarning)
    from mmengine.registry import init_default_scope

    init_default_scope("mmpose")


@contextmanager
def mmpose_scope() -> Iterator[None]:
    """Within it, names in configs mean mmpose's classes, whatever else in this process has set mmengine's scope."""
    import_mmpose()
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope("mmpose"):
        yield
