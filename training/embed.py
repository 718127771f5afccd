"""The `embeddings` stage: test tracklets to embeddings with a trained model; no skeleton is needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from storage.addresses import DataRoot
from storage.devices import chosen_device
from storage.progress import Progress, silent
from storage.tables.parquet import write_table
from storage.tables.schema import EMBEDDINGS, MODEL_KEY, SAMPLING_KEY
from storage.tables.tracklets import Tracklet, read_index
from training.batches.clips import FrameSource
from training.batches.sampling import dense_clips, segment_frames
from training.batches.visibility import visibility
from training.inference_model import Embed, EmbedWeighted, described, load_embedder
from training.settings import EmbedSettings, EncoderSettings

LABELS = ("tracklet_id", "split", "pid", "camid", "clothes")


@dataclass(frozen=True)
class Inputs:
    """The data root, a shard of the index, the model's folder or None (pretrained weights), and which encoder it is.

    Skeletons are wanted where they weigh frames.
    """

    data_root: DataRoot
    index: Path
    model: Path | None
    encoder_settings: EncoderSettings
    skeletons: Path | None = None


def run(inputs: Inputs, settings: EmbedSettings, out_dir: Path, progress: Progress) -> None:
    """Write embeddings.parquet of queries and gallery, L2-normalised.

    A tracklet without any readable frame is zeros, and named in notes.json.

    Raises:
        WeightsError: the model cannot be had or does not fit.
        SettingsError: it has not the parts that the settings name.
        DataError: skeletons do not match the index.
    """
    embed, model = load_embedder(
        inputs.model, inputs.encoder_settings, settings, chosen_device(settings.device, "embed.device")
    )
    tracklets = [tracklet for tracklet in read_index(inputs.index) if tracklet.split != "train"]
    weights = visibility([inputs.skeletons], tracklets) if inputs.skeletons else None
    rows = embed_tracklets(inputs.data_root, tracklets, embed, model.size, settings, progress, weights)
    made_with: dict[str, str] = {SAMPLING_KEY: settings.sampling}
    if inputs.model is not None:
        made_with[MODEL_KEY] = described(inputs.model, settings).embeds_as
    table = embeddings_table(tracklets, rows, model.width, made_with)
    write_table(table, out_dir / "embeddings.parquet")
    made_of = {"parts": model.made_of.parts, "scale": model.made_of.scale}
    notes = {
        "sampling": settings.sampling,
        **made_of,
        "without_readable_frame": without_readable_frame(tracklets, rows),
    }
    (out_dir / "notes.json").write_text(json.dumps(notes, indent=2) + "\n")


def embed_tracklets(
    root: DataRoot,
    tracklets: Sequence[Tracklet],
    embed: Embed,
    size: tuple[int, int],
    settings: EmbedSettings,
    progress: Progress = silent,
    weights: Sequence[NDArray[np.float32]] | None = None,
) -> list[NDArray[np.float32] | None]:
    """One embedding a tracklet, L2-normalised, (C,) each; None for a tracklet without any readable frame.

    Args:
        root: of the frames.
        tracklets: whose cameras the model may look at.
        embed: the model.
        size: (H, W) that it wants frames resized to.
        settings: which frames make clips.
        progress: told after each tracklet.
        weights: how much each frame of each tracklet counts, (T,) above 0; `embed` is an `EmbedWeighted` then. All
            the same without.
    """
    source = FrameSource(root, size, settings.decode_workers, cache_megabytes=0)
    rows: list[NDArray[np.float32] | None] = []
    for number, tracklet in enumerate(source.ahead(tracklets), start=1):
        length = len(tracklet.frames)
        if settings.sampling == "dense":
            chosen = dense_clips(length, settings.clip_length)
        else:
            chosen = segment_frames(length, settings.clip_length)[None]
        read = source.clips([[tracklet.frames[f] for f in clip] for clip in chosen])
        there = [clip is not None for clip in read]
        clips = [clip for clip in read if clip is not None]
        counts = torch.from_numpy(weights[number - 1][chosen[there]]) if weights is not None else None
        parts = [
            _embedded(embed, clips[part], tracklet.camid, None if counts is None else counts[part])
            for part in (slice(i, i + settings.batch_size) for i in range(0, len(clips), settings.batch_size))
        ]
        rows.append(F.normalize(_mean(torch.cat(parts), counts), dim=0).numpy() if parts else None)
        progress(number, len(tracklets), "tracklets")
    return rows


def _embedded(embed: Embed, clips: Sequence[NDArray[np.uint8]], camid: int, weights: Tensor | None) -> Tensor:
    images, camera = torch.from_numpy(np.stack(clips)), torch.tensor(camid)
    return embed(images, camera) if weights is None else cast(EmbedWeighted, embed)(images, camera, weights)


def _mean(clips: Tensor, weights: Tensor | None) -> Tensor:
    """Of clips' embeddings (B, C), each counting as much as its frames do, (B, T)."""
    if weights is None:
        return clips.mean(0)
    counts = weights.sum(1, keepdim=True)
    return (clips * counts).sum(0) / counts.sum()


def without_readable_frame(tracklets: Sequence[Tracklet], rows: Sequence[NDArray[np.float32] | None]) -> list[str]:
    """Ids of the tracklets that have no embedding."""
    return [tracklet.tracklet_id for tracklet, row in zip(tracklets, rows, strict=True) if row is None]


def embeddings_table(
    tracklets: Sequence[Tracklet],
    rows: Sequence[NDArray[np.float32] | None],
    width: int,
    about: Mapping[str, str],
) -> pa.Table:
    """An `EMBEDDINGS` table of what `embed_tracklets` gives; zeros of `width` where that is None.

    `about` is what the file's metadata say beside the schema's.
    """
    metadata = {name.encode(): value.encode() for name, value in about.items()}
    return pa.table(
        {
            **{name: [getattr(t, name) for t in tracklets] for name in LABELS},
            "frames": [len(t.frames) for t in tracklets],
            "embedding": [np.zeros(width, np.float32) if row is None else row for row in rows],
        },
        schema=EMBEDDINGS.with_metadata((EMBEDDINGS.metadata or {}) | metadata),
    )
