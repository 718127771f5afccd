"""Names of visual encoders: which family a name is of, and the nearest ones to a name that nobody knows."""

import ast
import difflib
from pathlib import Path

from storage.errors import SettingsError
from training.settings import CLIP

SMALL = "small"
OSNET = ("osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x1_0")


def is_own(model: str) -> bool:
    """Whether a name is that of a class in a file of the user's: `path/to/file.py:Class`."""
    return ".py:" in model


def own_class(model: str) -> tuple[Path, str]:
    """File and name of a class of the user's.

    Raises:
        SettingsError: there is no such file.
    """
    file, _, name = model.rpartition(":")
    if not Path(file).is_file():
        raise SettingsError(
            "there is no such file", where=f"encoder.model={model}", fix="name one, from where csip runs"
        )
    return Path(file), name


def own_files(model: str) -> dict[str, Path]:
    """The file of a user's class, and those beside it that it imports, and these import: all decide what it gives.

    Raises:
        SettingsError: there is no such file.
    """
    first, _ = own_class(model)
    found: dict[str, Path] = {}
    left = {"code": first}
    while left:
        name, file = left.popitem()
        found[name] = file
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # which is told when it is run
            continue
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        for module in {name.partition(".")[0] for name in names}:
            beside = first.parent / f"{module}.py"
            if f"code {module}" not in found and beside.is_file() and beside != first:
                left[f"code {module}"] = beside
    return found


def check_name(model: str) -> None:
    """Make sure that a name is that of a model; of timm's, that the tag behind the dot is one of the model's.

    Raises:
        SettingsError: it is not; names the nearest ones. Or there is no file of the user's class.
    """
    if is_own(model):
        own_class(model)
    if model in (SMALL, CLIP, *OSNET) or is_own(model):
        return
    import timm  # seconds, as it imports torch

    if timm.is_model(model):
        architecture, _, tag = model.partition(".")
        tags = [name.partition(".")[2] for name in timm.list_models(f"{architecture}.*", pretrained=True)]
        if not tag or tag in tags:
            return
        raise SettingsError(
            f"{architecture} has no weights called {tag!r}",
            where="encoder.model",
            fix=f"its weights are: {', '.join(tags) or 'none'}",
        )
    known = [SMALL, *OSNET, *timm.list_models(), *timm.list_models(pretrained=True)]
    near = difflib.get_close_matches(model, known, n=5, cutoff=0.4)
    raise SettingsError(
        f"there is no visual encoder {model!r}",
        where="encoder.model",
        fix=f"did you mean {', '.join(near)}?" if near else "timm's names, OSNet's, or small",
    )
