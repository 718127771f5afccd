from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from storage.errors import SettingsError, WeightsError
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.start import load_encoder
from training.model.encoders.weights import weight_files
from training.settings import EncoderSettings

CODE = """
import torch
from torch import nn

class Mine(nn.Module):
    size = (32, 16)
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 6, 8, 8)
        self.project = nn.Linear(6, 4)

    def forward(self, x):
        cells = self.cells(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([cells.mean(1, keepdim=True), cells], 1)
        return RETURNED
"""
Named = Callable[..., EncoderSettings]


@pytest.fixture
def named(tmp_path: Path) -> Named:
    def write(returned: str = "tokens, self.project(tokens)", name: str = "Mine", **more: object) -> EncoderSettings:
        (tmp_path / "mine.py").write_text(CODE.replace("RETURNED", returned))
        return EncoderSettings.model_validate({"model": f"{tmp_path / 'mine.py'}:{name}"} | more)

    return write


def test_a_class_of_ones_own_is_an_encoder_with_the_sizes_that_it_says(named: Named) -> None:
    encoder = VisualEncoder(named(), cameras=(1,))
    trunk = encoder.trunk
    assert (trunk.size, trunk.mean, trunk.token_width, trunk.projected_width) == ((32, 16), (0.5,) * 3, 6, 4)
    images = torch.full((2, 3, 32, 16), 127.5)
    tokens, projected = encoder(images, torch.tensor([1, 9]))
    plain, _ = trunk.module(torch.zeros(2, 3, 32, 16))
    assert (tokens.shape, projected.shape) == ((2, 9, 6), (2, 9, 4))
    torch.testing.assert_close(tokens[1], plain[1])
    torch.testing.assert_close(tokens[0, 0], plain[0, 0] + encoder.camera_vectors[0])


def test_its_file_and_its_weights_decide_what_it_gives(named: Named, tmp_path: Path) -> None:
    assert weight_files(named()) == {"code": tmp_path / "mine.py"}
    state = {name: torch.ones_like(value) for name, value in VisualEncoder(named()).trunk.module.state_dict().items()}
    save_file(state, tmp_path / "mine.safetensors")
    chosen = named(weights=tmp_path / "mine.safetensors")
    assert weight_files(chosen) == {"encoder": tmp_path / "mine.safetensors", "code": tmp_path / "mine.py"}
    assert all((value == 1).all() for value in load_encoder(None, chosen).trunk.module.state_dict().values())
    save_file({"other": torch.ones(2)}, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"these weights are not .*mine\.py:Mine: 5 tensors do not fit"):
        load_encoder(None, chosen)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("tokens", r"one tensor \(2, 9, 6\) and no projected tokens"),
        ("tokens, tokens[:, 0]", r"shapes \(2, 9, 6\) and \(2, 6\)"),
        ("tokens, tokens[:1]", r"shapes \(2, 9, 6\) and \(1, 9, 6\)"),
        ("{'tokens': tokens}", "it returns dict"),
        ("tokens, None", "it returns tuple"),
    ],
)
def test_what_it_returns_is_looked_at_before_anything_runs(named: Named, returned: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        VisualEncoder(named(returned))
    assert "tokens (B, N, D) and projected tokens (B, N, P)" in str(caught.value)


def test_a_missing_file_and_a_missing_class_are_one_message_each(named: Named, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no torch\.nn\.Module 'Min'(.|\n)*its modules are: Mine"):
        VisualEncoder(named(name="Min"))
    with pytest.raises(SettingsError, match="there is no such file"):
        VisualEncoder(EncoderSettings(model=f"{tmp_path}/none.py:Mine"))
