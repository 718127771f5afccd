import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.training.model_folders import finetuned_folder, reference_embeddings
from training.export import FORMATS, TOLERANCE, export
from training.inference_model import About
from training.settings import EmbedSettings

GUIDE = Path(__file__).parents[2] / "docs/export.md"
EXAMPLES = re.findall(r"## (\w+)\n[^#]*?```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_every_field_that_a_file_says_is_in_the_guide():
    assert not [name for name in About.model_fields if f"`{name}`" not in GUIDE.read_text()]


def test_there_is_an_example_of_every_format():
    assert [heading.lower() for heading, _ in EXAMPLES] == [*FORMATS]


@pytest.mark.parametrize(("heading", "example"), EXAMPLES)
def test_the_example_embeds_as_csip_does(tmp_path, monkeypatch, heading, example):
    monkeypatch.chdir(tmp_path)
    Path("crops").mkdir()
    for number, picture in enumerate(np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), dtype=np.uint8)):
        cv2.imwrite(f"crops/{number}.jpg", picture)
    folder, name = finetuned_folder(tmp_path / "folder"), heading.lower()
    export(folder, EmbedSettings(), name, Path(f"model{FORMATS[name].suffix}"))
    found: dict[str, torch.Tensor] = {}
    exec(example, found)  # noqa: S102, it is this repository's
    clips, camids = torch.zeros(2, 8, 3, 32, 16), torch.tensor([1, -1])
    if name == "onnx":
        crops = [cv2.imread(f"crops/{number}.jpg")[:, :, ::-1] for number in range(3)]
        clips, camids = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2)[None].copy()), torch.tensor([1])
    expected = torch.cat([reference_embeddings(folder, clips[i : i + 1], camids[i : i + 1]) for i in range(len(clips))])
    if name == "onnx":
        expected = F.normalize(expected, dim=1)
    torch.testing.assert_close(torch.as_tensor(found["embedding"]), expected, rtol=TOLERANCE, atol=TOLERANCE)
