import numpy as np
import pytest
from PIL import Image

from training.batches.clips import resized


@pytest.mark.parametrize(
    "size", [(256, 128), (64, 32), (300, 20), (20, 300)], ids=["larger", "smaller", "both", "other"]
)
def test_frames_are_resized_as_pil_does(size: tuple[int, int]) -> None:
    """Bilinear, with antialias along a side that shrinks."""
    image = np.random.default_rng(0).integers(0, 256, (128, 64, 3), np.uint8)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    found = resized(np.ascontiguousarray(image.transpose(2, 0, 1)), size).transpose(1, 2, 0)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1
