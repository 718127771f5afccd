"""The ranking and its metrics written out from their definitions: a query after another, by sorting."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluation.ranking.judgement import Protocol


@dataclass(frozen=True)
class Item:
    """A tracklet."""

    pid: int
    camid: int
    clothes: int = 1
    name: str = ""


@dataclass(frozen=True)
class Ranked:
    """The gallery items that count, nearest first: (distance, right or wrong, camera)."""

    answers: list[tuple[float, bool, int]] = field(default_factory=list)

    def of_camera(self, camid: int) -> "Ranked":
        return Ranked([answer for answer in self.answers if answer[2] == camid])

    def right_first(self) -> "Ranked":
        return Ranked(sorted(self.answers, key=lambda answer: (answer[0], not answer[1])))

    @property
    def right(self) -> list[bool]:
        return [right for _, right, _ in self.answers]

    @property
    def ranks(self) -> list[int]:
        return [place + 1 for place, right in enumerate(self.right) if right]

    @property
    def ties(self) -> int:
        wrong = [distance for distance, right, _ in self.answers if not right]
        return sum(right and distance in wrong for distance, right, _ in self.answers)

    def average_precision(self) -> float:
        precisions = [sum(self.right[:rank]) / rank for rank in self.ranks]
        return sum(precisions) / len(precisions)

    def inverse_negative_penalty(self) -> float:
        return sum(self.right) / max(self.ranks)

    def within(self, rank: int) -> bool:
        return any(self.right[:rank])


def ranked(query: Item, gallery: Sequence[Item], distances: Sequence[float], protocol: Protocol) -> Ranked:
    """Of items at the same distance the wrong one comes first."""
    rows = []
    for item, distance in zip(gallery, distances, strict=True):
        same = item.pid == query.pid and item.pid != 0
        if same and item.camid == query.camid:
            continue
        if same and protocol == "clothes_changing" and item.clothes == query.clothes:
            continue
        rows.append((distance, same, item.camid))
    return Ranked(sorted(rows, key=lambda row: (row[0], row[1])))
