"""What is published of data sets, by layout, to stand beside what is counted: figures with their source, no code."""

from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
    """The published figures of a data set.

    Attributes:
        name: of the data set.
        source: who says so.
        figures: split, or `all`, -> column of `storage.datasets.check.counts.count` -> figure.
    """

    name: str
    source: str
    figures: Mapping[str, Mapping[str, int]]


PUBLISHED: dict[str, Published] = {
    # The 1,261 identities and 20,715 tracklets of the paper count what the lists do not name, or name as junk.
    "mars": Published(
        "MARS",
        "Zheng et al., ECCV 2016, and the lists of its authors' evaluation code",
        {
            "train": {"identities": 625, "tracklets": 8_298, "frames": 509_914},
            "query": {"tracklets": 1_980},
            "gallery": {"tracklets": 9_330, "distractors": 3_248},
            "all": {"cameras": 6},
        },
    ),
    "lsvid": Published(
        "LS-VID",
        "Li et al., ICCV 2019",
        {"train": {"identities": 842}, "query": {"tracklets": 3_504}, "all": {"cameras": 15}},
    ),
    "ilidsvid": Published(
        "iLIDS-VID",
        "Wang et al., ECCV 2014",
        {
            "train": {"identities": 150, "tracklets": 300},
            "query": {"tracklets": 150},
            "gallery": {"tracklets": 150},
            "all": {"cameras": 2},
        },
    ),
    "prid2011": Published(
        "PRID2011",
        "Hirzer et al., SCIA 2011, with the 178 people of Wang et al., ECCV 2014",
        {
            "train": {"identities": 89, "tracklets": 178},
            "query": {"tracklets": 89},
            "gallery": {"tracklets": 89},
            "all": {"cameras": 2},
        },
    ),
    "ccvid": Published(
        "CCVID",
        "Gu et al., CVPR 2022",
        {
            "train": {"identities": 75, "tracklets": 948},
            "query": {"tracklets": 834},
            "gallery": {"tracklets": 1_074},
        },
    ),
}
"""Layout -> the data set that is usually laid out so. Others may be, and are no worse for having other figures."""
