"""The one place where `auto`, or a name in the settings, becomes a device."""

from storage.errors import SettingsError


def chosen_device(name: str, setting: str = "device") -> str:
    """The device to compute on; `auto` is a GPU where there is one.

    Args:
        name: `auto`, or as torch names devices: `cpu`, `cuda`, `cuda:N`.
        setting: which setting named it, for the message.

    Raises:
        SettingsError: there is no such GPU.
    """
    if name == "cpu":
        return name
    import torch  # takes seconds to import

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    device = torch.device(name)
    if device.type != "cuda" or (device.index or 0) < count:
        return name
    there = f"GPU 0 to {count - 1} only" if count else "no GPU"
    raise SettingsError(f"{setting}={name}, and there is {there}", fix=f"take {setting}=auto")
