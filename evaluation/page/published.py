"""Published results to stand beside ours: figures with their source and protocol, by data set. Data, no judgement.

Only of data sets that are read here in their published layout. A result may stand beside ours; whether the two can be
compared is for the reader, who finds the protocol of each beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evaluation.page.numbers import by_name, percent
from evaluation.page.ranking_rows import GALLERY_KINDS
from evaluation.page.run_rows import setting


class Method(NamedTuple):
    """A published method, where it was published, and what is known of how it was measured."""

    name: str
    source: str
    protocol: str


FIRST_PROBE = {"biwi": "walking", "ias": "A"}  # what asks where data.sequences.probe is not set
SKELETONS = "Kinect skeletons, sequences of 6 frames ranked one by one"
TRANSG = Method("TranSG", "Rao and Miao, CVPR 2023 (arXiv 2303.06819)", f"{SKELETONS}; trained with identities")
MOCOS = Method("MoCos", "Rao and Miao, AAAI 2025 (arXiv 2412.09044)", f"{SKELETONS}; trained with identities")
HI_MPC = Method("Hi-MPC", "Rao, Leung and Miao, IJCV (arXiv 2307.12917)", f"{SKELETONS}; trained without identities")
TCVIT = Method("TCViT", "AAAI 2024", "from images; gallery and sampling of frames not known here")
TF_CLIP = Method(
    "TF-CLIP", "Yu et al., AAAI 2024 (arXiv 2312.09627)", "from images, pretrained CLIP; every frame (dense)"
)
CLIMB = Method("CLIMB-ReID", "AAAI 2025", "from images, pretrained CLIP; gallery and sampling of frames not known here")


class Benchmark(NamedTuple):
    """A data set and what was published on it."""

    name: str  # of the data set
    metrics: tuple[str, ...]  # columns
    figures: Mapping[Method, tuple[float, ...]]  # percent of each metric
    note: str = ""  # what holds for all of them
    # identities that ask, where `storage.datasets.published` has no counts to know the data set by
    people: int | None = None


def asks(probe: str) -> str:
    """The column of the results that one part of a test got by asking."""
    return f"Rank-1, {probe} asks"


BOTH, TEN_SPLITS = ("mAP", "Rank-1"), "Usually the mean of ten splits."
PARTS = "What asks is named, the other part of the test answers."
BENCHMARKS = {
    "mars": Benchmark("MARS", BOTH, {TCVIT: (87.6, 91.7), TF_CLIP: (89.4, 93.0), CLIMB: (89.7, 93.3)}),
    "lsvid": Benchmark("LS-VID", BOTH, {TCVIT: (83.1, 90.1), TF_CLIP: (83.8, 90.4), CLIMB: (85.0, 91.3)}),
    "ilidsvid": Benchmark("iLIDS-VID", ("Rank-1",), {TCVIT: (94.3,), TF_CLIP: (94.5,), CLIMB: (96.7,)}, TEN_SPLITS),
    "biwi": Benchmark(
        "BIWI",
        (asks("Still"), asks("Walking")),
        {TRANSG: (68.7, 32.7), MOCOS: (72.0, 36.0), HI_MPC: (47.5, 27.3)},
        PARTS,
        28,
    ),
    "ias": Benchmark(
        "IAS-Lab",
        (asks("A"), asks("B")),
        {TRANSG: (49.2, 59.1), MOCOS: (51.9, 61.5), HI_MPC: (45.6, 48.2)},
        PARTS,
        11,
    ),
}
"""Layout -> what is published on the data set that is usually laid out so."""


def probe_of(settings: Sequence[Mapping[str, Any]]) -> str:
    """Which part of a test of skeletons asked, as `BENCHMARKS` names it; empty where there are no parts."""
    layout = setting(settings, "data.layout")
    asked = setting(settings, "data.sequences.probe") or FIRST_PROBE.get(layout, "")
    return asked.capitalize() if layout in FIRST_PROBE else ""


def published_results(
    check: Mapping[str, Any], model: str, metrics: Mapping[str, Any], remarks: Sequence[str], probe: str = ""
) -> dict[str, Any]:
    """Published results on this data set with ours among them, or why there are none.

    Args:
        check: summary.json of the index.
        model: what of ours is shown.
        metrics: its metrics.json.
        remarks: what sets our protocol apart beside gallery and sampling.
        probe: which part of the test asked, where the benchmark has several.

    Returns:
        `says`: a sentence. Where there are results also `name`, `columns`, `note`, `rows` of `name`, `source`,
        `protocol`, `cells` and `ours`, and `beside`: whether ours is among them.
    """
    benchmark, compared = BENCHMARKS.get(check["layout"]), check["published"]
    if benchmark is None:
        return {"says": "No published results are known here for this data set.", "rows": []}
    name, columns = benchmark.name, benchmark.metrics
    asking = check["splits"].get("query", {}).get("identities", 0)
    beside = compared["claimed"] if compared else asking == benchmark.people
    rows = [
        {**method._asdict(), "cells": [f"{figure:.1f}" for figure in figures], "ours": False}
        for method, figures in benchmark.figures.items()
    ]
    if beside:
        figures = by_name(metrics)
        figures |= {asks(probe): figures["Rank-1"]} if probe and "Rank-1" in figures else {}
        rows.append(
            {
                "name": f"Ours, {model.lower()}",
                "source": "this run",
                "protocol": "; ".join([*_protocol(metrics), *remarks]),
                "cells": [percent(figures.get(c)) for c in columns],
                "ours": True,
            }
        )
        says = (
            f"As published on {name}, in percent, each with what is known here of how it was measured. Where protocols "
            "differ, or are not known, numbers stand side by side and are not compared."
        )
    else:
        differs = f"{asking} people ask, not {benchmark.people}"
        if compared:
            differs = f"{compared['same']} of {len(compared['figures'])} published counts are the same"
        says = (
            f"The data are laid out as those of {name}, but are not that data set ({differs}): what is published on "
            f"{name} is no measure here."
        )
    return {"says": says, "name": name, "columns": columns, "note": benchmark.note, "rows": rows, "beside": beside}


def _protocol(metrics: Mapping[str, Any]) -> list[str]:
    named = metrics["protocol"]
    sampling = {"dense": "every frame (dense)", "rrs": "eight frames of a tracklet (rrs)"}
    said = [GALLERY_KINDS[named["gallery"]], sampling.get(named["sampling"], named["sampling"])]
    done = {"query expansion": named["expansion"], "re-ranking": named["reranking"]}
    return [part for part in [*said, *(word for word, settings in done.items() if settings)] if part]
