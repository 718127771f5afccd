"""Position embeddings of files that were made for frames of persons."""

import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.model.encoders.positions import over_its_grid, person_grid


def vit(size: tuple[int, int]) -> nn.Module:
    return timm.create_model("test_vit", pretrained=False, num_classes=0, img_size=size)


@given(st.integers(2, 26))
def test_a_grid_twice_as_high_as_wide_is_known_by_its_cells(columns: int) -> None:
    assert person_grid(2 * columns * columns) == (2 * columns, columns)


@pytest.mark.parametrize(
    ("cells", "grid"), [(210, (21, 10)), (128, (16, 8)), (288, (24, 12)), (196, None), (15, None), (1, None)]
)
def test_grids_of_overlapping_patches_are_known_and_others_are_not_guessed(
    cells: int, grid: tuple[int, int] | None
) -> None:
    assert person_grid(cells) == grid


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("leading", [(), (1,)])
def test_positions_of_person_frames_are_laid_over_larger_ones(interpolation: str, leading: tuple[int, ...]) -> None:
    theirs, model = torch.randn(*leading, 1 + 8 * 4, 64), vit((192, 96))
    found = over_its_grid(theirs, model, interpolation)
    flat = theirs.reshape(33, 64)
    cells = flat[1:].reshape(1, 8, 4, 64).permute(0, 3, 1, 2)
    cells = F.interpolate(cells, size=(12, 6), mode=interpolation, antialias=interpolation == "bicubic")
    expected = torch.cat([flat[:1], cells.permute(0, 2, 3, 1).reshape(72, 64)])
    torch.testing.assert_close(found, expected.reshape(*leading, 73, 64))


@pytest.mark.parametrize("cells", [16 * 16, 8 * 4, 15])
def test_square_grids_are_left_to_timm_and_what_fits_or_cannot_be_known_is_left_as_it_is(cells: int) -> None:
    theirs = torch.randn(1 + cells, 64)
    assert over_its_grid(theirs, vit((128, 64)), "bicubic") is theirs


def test_a_model_without_a_grid_of_positions_takes_its_file_as_it_is() -> None:
    theirs = torch.randn(1, 33, 64)
    assert over_its_grid(theirs, timm.create_model("test_resnet"), "bicubic") is theirs
