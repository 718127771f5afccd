"""A metrics.json that somebody else may have written: what a comparison uses of it, and what that must be."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, ValidationError

from storage.errors import DataError
from storage.wording import below

Share = Annotated[float, Field(ge=0, le=1 + 1e-6, allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Part(BaseModel):
    """Base of what is written: of the types that JSON has, and with more in it than is used."""

    model_config = ConfigDict(strict=True, extra="allow")


class WrittenProtocol(Part):
    """How it was measured; what has a default was not always written, and meant this."""

    name: str = "standard"
    gallery: str
    sampling: str | None = None
    left_out: str
    distance: str
    ties: str
    reranking: dict[str, FiniteFloat] | None = None
    expansion: dict[str, FiniteFloat] | None = None


class Measured(Part):
    """Accuracy of some queries."""

    queries: NonNegativeInt
    mAP: Share  # noqa: N815 (the name in the file)
    rank_1: Share


class CameraPair(Measured):
    """Queries of a camera in the gallery of another."""

    query_camid: int
    gallery_camid: int


class Length(Measured):
    """Queries by the number of their frames."""

    shortest: NonNegativeInt = Field(alias="from")
    longest: NonNegativeInt = Field(alias="to")


class Written(Part):
    """All that is used."""

    protocol: WrittenProtocol
    queries: NonNegativeInt
    counted_queries: NonNegativeInt
    queries_without_match: NonNegativeInt
    gallery: NonNegativeInt
    distractors: NonNegativeInt
    mAP: Share  # noqa: N815 (the name in the file)
    cmc: dict[Rank, Share]
    camera_pairs: list[CameraPair] | None = None
    lengths: list[Length] | None = None


def read_metrics(path: Path) -> dict[str, Any]:
    """What a metrics.json holds, with what older ones left unsaid of their protocol.

    Raises:
        DataError: it cannot be read, or is not what an evaluation writes; names every wrong field.
    """
    try:
        content = path.read_bytes()
        written = Written.model_validate_json(content)
    except (OSError, ValidationError) as error:
        wrong = [_explained(one) for one in error.errors()] if isinstance(error, ValidationError) else [str(error)]
        raise DataError(
            f"this is not what an evaluation writes:{below(wrong)}", where=path, fix="evaluate again"
        ) from error
    metrics = json.loads(content)
    return {**metrics, "protocol": {**written.protocol.model_dump(), **metrics["protocol"]}}


def _explained(wrong: Any) -> str:
    return ": ".join(filter(None, (".".join(map(str, wrong["loc"])), wrong["msg"])))
