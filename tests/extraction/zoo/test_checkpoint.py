import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from safetensors.torch import save_file
from torch import nn

from extraction.zoo.checkpoint import load_weights
from storage.errors import WeightsError


def small_model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_every_weight_of_the_file_is_in_the_model(tmp_path, suffix):
    source, target = small_model(), small_model()
    path = tmp_path / f"w.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": source.state_dict(), "meta": {"epoch": 3}}, path)
    else:
        save_file(source.state_dict(), path)
    load_weights(target, path)
    for key, value in source.state_dict().items():
        torch.testing.assert_close(target.state_dict()[key], value)


def test_keys_that_do_not_fit_are_named(tmp_path):
    state = small_model().state_dict()
    state["0.extra"] = state.pop("0.bias")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"1 keys missing: 0\.bias \| 1 keys unknown to the model: 0\.extra"):
        load_weights(small_model(), tmp_path / "w.safetensors")


def test_weights_of_another_shape_are_named(tmp_path):
    save_file({**small_model().state_dict(), "0.weight": torch.zeros(5, 2)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"of another shape: size mismatch for 0\.weight"):
        load_weights(small_model(), tmp_path / "w.safetensors")


def test_the_preprocessors_saved_mean_is_not_an_unknown_key(tmp_path):
    save_file({**small_model().state_dict(), "data_preprocessor.mean": torch.zeros(3)}, tmp_path / "w.safetensors")
    load_weights(small_model(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_damaged_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    if suffix == "pth":
        torch.save(small_model().state_dict(), path)
    else:
        save_file(small_model().state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=str(path)):
        load_weights(small_model(), path)


@pytest.mark.parametrize("old", [False, True])
def test_what_mmengine_saves_beside_the_weights_is_read(tmp_path, old):
    """Logs, and numpy values in `meta` under the names of numpy 2 and of numpy 1, with which the zoo was saved."""
    state = small_model().state_dict()
    logs = MessageHub.get_instance("test")
    logs.update_scalar("train/loss", 1.5)
    meta = {
        "dataset_meta": {"sigmas": np.ones(17, np.float32), "colours": np.zeros((2, 3), np.uint8)},
        "t": np.int64(1),
    }
    torch.save({"state_dict": state, "meta": meta, "message_hub": logs.state_dict()}, tmp_path / "new.pth")
    path = tmp_path / ("old.pth" if old else "new.pth")
    if old:
        with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(path, "w") as changed:
            for name in new.namelist():
                data = new.read(name)
                if name.endswith("data.pkl"):
                    assert b"numpy._core" in data
                    data = data.replace(b"numpy._core", b"numpy.core")
                changed.writestr(name, data)
    model = small_model()
    load_weights(model, path)
    torch.testing.assert_close(model.state_dict()["0.weight"], state["0.weight"])


class Trap:
    ran = False

    def __reduce__(self):
        return (setattr, (Trap, "ran", True))


def test_code_in_a_file_of_weights_is_never_run(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"state_dict": small_model().state_dict(), "meta": Trap()}, path)
    with pytest.raises(WeightsError, match=r"without running code: .*setattr"):
        load_weights(small_model(), path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError):
        load_weights(small_model(), path)
    assert not Trap.ran


def test_a_file_without_weights_is_refused(tmp_path):
    torch.save({"state_dict": {"a": 1}}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no state_dict"):
        load_weights(small_model(), tmp_path / "w.pth")
