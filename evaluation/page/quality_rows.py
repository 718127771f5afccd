"""The quality of skeletons as rows of texts. quality.json in."""

from collections.abc import Mapping
from typing import Any

from evaluation.page.numbers import histogram, percent, plain
from storage.tables.schema import FRAME_STATUS

STATUS_KINDS = tuple(zip(("ok", "low confidence", "nobody found", "unreadable"), FRAME_STATUS, strict=True))
ACCURACY_PARTS = {"test": "test identities", "all": "everybody"}


def status_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What became of the frames of each split and camera: shares of each status, scores, how steady the skeletons are.

    Shares are percent without the sign, lengths millimetres, swaps of left and right a hundred neighbouring frames.
    """
    rows = []
    for group in quality.get("groups", ()):
        shares = {kind: group["status"].get(kind) or 0.0 for kind in FRAME_STATUS}
        everything = group["split"] is None
        rows.append(
            {
                "name": "all" if everything else f"{group['split']}, camera {group['camid']}",
                "everything": everything,
                "frames": f"{group['frames']:,}",
                "shares": [
                    {"name": name, "kind": kind, "width": percent(shares[kind], 2), "text": percent(shares[kind])}
                    for name, kind in STATUS_KINDS
                ],
                "filled": percent(group.get("filled")),
                "score": plain(group.get("mean_score"), 2),
                "histogram": histogram(group.get("score_histogram") or ()),
                "limbs": plain(group.get("limb_variation_mm"), 0),
                "jitter": plain(group.get("jitter_mm"), 0),
                "swaps": plain(group.get("swaps"), 1),
            }
        )
    return rows


def accuracy_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Errors against true joints where there are any: of the test identities, and of everybody."""
    return [
        {
            "name": name,
            "values": [f"{of['frames']:,}", *_errors(of), plain(of.get("mpjpe_filled_mm"), 1)],
            "threshold": of["pck_threshold"],
        }
        for name, of in _measured(quality).items()
    ]


def joint_table(quality: Mapping[str, Any]) -> dict[str, Any] | None:
    """Errors against true joints by joint, of the test identities, or of everybody where there are none; else None."""
    for name, of in _measured(quality).items():
        rows = [{"name": joint.replace("_", " "), "values": _errors(e)} for joint, e in of["by_joint"].items()]
        return {"name": name, "rows": rows}
    return None


def _measured(quality: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    accuracy = quality.get("accuracy") or {}
    return {name: accuracy[key] for key, name in ACCURACY_PARTS.items() if accuracy.get(key)}


def _errors(of: Mapping[str, Any]) -> list[str]:
    return [plain(of["mpjpe_mm"], 1), plain(of["pa_mpjpe_mm"], 1), percent(of["pck"])]
