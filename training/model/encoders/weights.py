"""Files of a visual encoder's pretrained weights: the one that is named, or the hub's as timm's registry knows it."""

from pathlib import Path
from typing import NamedTuple

from storage.errors import WeightsError
from training.model.encoders.names import OSNET, check_name, is_own, own_files
from training.settings import EncoderSettings

HUB_FILES = (
    *("model.safetensors", "open_clip_model.safetensors"),
    *("pytorch_model.bin", "open_clip_pytorch_model.bin"),
)
"""Names of a hub repository's weights, the ones without pickles first."""


class OnHub(NamedTuple):
    """A repository of the Hugging Face hub, and the files of which it has one."""

    repository: str
    files: tuple[str, ...]


def weight_files(settings: EncoderSettings) -> dict[str, Path]:
    """Files whose bytes decide what an encoder gives: its weights, from the hub if no file is named; a user's code.

    Raises:
        WeightsError: they are not there and cannot be fetched; says which file to put where.
        SettingsError: there is no such model.
    """
    if not settings.is_pretrained:
        return {}
    code = own_files(settings.model) if is_own(settings.model) else {}
    if settings.weights is not None:
        if not settings.weights.exists():
            raise WeightsError(
                "the file of the visual encoder's weights does not exist",
                where=f"encoder.weights={settings.weights}",
                fix=f"put weights of {settings.model} there",
            )
        return {"encoder": settings.weights} | code
    return code or {"encoder": _fetched(settings.model)}


def on_hub(model: str) -> OnHub | None:
    """Where the weights of a timm model lie, as timm itself knows it; None if not on the hub.

    Raises:
        SettingsError: there is no such model.
    """
    check_name(model)
    if model in OSNET or is_own(model):
        return None
    import timm

    about = timm.get_pretrained_cfg(model)
    if about is None or not about.hf_hub_id:
        return None
    return OnHub(about.hf_hub_id, (about.hf_hub_filename,) if about.hf_hub_filename else HUB_FILES)


def _fetched(model: str) -> Path:
    where = on_hub(model)
    if where is None:
        raise WeightsError(
            f"no file of weights is named, and those of {model} are on no hub that csip knows",
            where="encoder.weights",
            fix=f"download weights of {model} (of OSNet: torchreid's model zoo) and set encoder.weights to the file",
        )
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    for file in where.files:  # what is here is taken without a question
        kept = try_to_load_from_cache(where.repository, file)
        if isinstance(kept, str):
            return Path(kept)
    failures = []
    for file in where.files:
        try:
            return Path(hf_hub_download(where.repository, file))
        except Exception as error:  # the hub's client raises many kinds for one cause: it is not there, or no network
            failures.append(f"{file}: {type(error).__name__}")
    raise WeightsError(
        f"weights of {model} are not in the hub's cache and cannot be fetched ({'; '.join(failures)})",
        where="encoder.weights",
        fix=f"download one of {', '.join(where.files)} of {where.repository} from the Hugging Face hub and set "
        "encoder.weights to the file; or set encoder.model=small to train a small encoder instead",
    )
