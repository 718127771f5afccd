"""Position embeddings of person frames, twice as high as wide, over the grid of frames of another size."""

import math

from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

SHAPE, TOLERATED = 2.0, 0.15
"""Height by width of a grid of person frames: 16 x 8 cells, 21 x 10 where patches of 16 overlap by 4, 24 x 12."""


def person_grid(cells: int) -> tuple[int, int] | None:
    """Rows and columns of that many cells of person frames; None if there is no such grid."""
    pairs = [(cells // columns, columns) for columns in range(1, math.isqrt(cells) + 1) if cells % columns == 0]
    near = [pair for pair in pairs if abs(pair[0] / pair[1] - SHAPE) <= TOLERATED]
    return near[0] if len(near) == 1 else None


def over_its_grid(embedding: Tensor, model: nn.Module, interpolation: str) -> Tensor:
    """A position embedding of person frames laid over a timm model's grid; any other one as it is.

    timm does the same with one of square frames, and would take this one for such.

    Args:
        embedding: of prefix tokens and cells, (N, D) or (1, N, D).
        model: of timm, with frames of its own size.
        interpolation: `bicubic`, with antialias, or `bilinear`, without.
    """
    own, grid = getattr(model, "pos_embed", None), getattr(getattr(model, "patch_embed", None), "grid_size", None)
    if own is None or own.ndim != 3 or grid is None or embedding.shape[-2] == own.shape[1]:
        return embedding
    prefix = own.shape[1] - grid[0] * grid[1]
    cells = embedding.shape[-2] - prefix
    found = person_grid(cells) if cells > 0 and math.isqrt(cells) ** 2 != cells else None
    if found is None:
        return embedding
    whole = embedding.unsqueeze(0) if embedding.ndim == 2 else embedding
    laid: Tensor = resample_abs_pos_embed(
        whole, list(grid), list(found), prefix, interpolation, antialias=interpolation == "bicubic"
    )
    return laid if embedding.ndim == 3 else laid[0]
