"""Mirror images, each the plain way, to compare with."""

import numpy as np
from numpy.typing import NDArray

from storage.skeleton import MIRROR_ORDER


def mirror(skeleton: NDArray[np.floating]) -> NDArray[np.floating]:
    """The skeleton of the flipped image: x negated, left and right swapped. (..., 17, 3), pelvis-centred."""
    flipped = skeleton[..., MIRROR_ORDER, :].copy()
    flipped[..., 0] *= -1
    return flipped


def mirrored_angles(angles: NDArray[np.floating]) -> NDArray[np.floating]:
    """The angles of the mirror image: sides swapped, turns about y and z reversed; (N, 17, 3) rotation vectors."""
    return angles[:, MIRROR_ORDER] * [1, -1, -1]
