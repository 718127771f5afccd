import pytest
import torch

from storage.devices import chosen_device
from storage.errors import SettingsError


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    with pytest.raises(SettingsError, match=r"evaluation\.device=cuda, and there is no GPU"):
        chosen_device("cuda", "evaluation.device")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [chosen_device(name) for name in ("auto", "cpu", "cuda:1")] == ["cuda", "cpu", "cuda:1"]
    with pytest.raises(SettingsError, match="there is GPU 0 to 1 only"):
        chosen_device("cuda:2")
