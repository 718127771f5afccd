"""The formats that `training.export` writes: their names, and how their files are called. Imports no torch."""

from pathlib import Path

from storage.errors import SettingsError

SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}


def export_file(format_name: str, out: Path | None = None) -> Path:
    """The file that a model is exported to: `out`, or `model` with the format's ending in the working directory.

    Raises:
        SettingsError: there is no such format, or the file's name does not end as the format's do.
    """
    if format_name not in SUFFIXES:
        raise SettingsError(
            f"there is no export format {format_name!r}", where="--format", fix=f"choose one of {', '.join(SUFFIXES)}"
        )
    suffix = SUFFIXES[format_name]
    target = out or Path(f"model{suffix}")
    if target.suffix != suffix or target.is_dir():
        raise SettingsError(
            f"a file of format {format_name} ends in {suffix}", where=target, fix=f"name it NAME{suffix}"
        )
    return target
