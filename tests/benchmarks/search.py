"""How long a search takes, part by part: `make bench-search`.

A query against a gallery file, once the model is loaded: reading and decoding the query's frames, embedding them,
ranking the gallery (reading its file included), and the picture of the first ten answers. Then ranking alone, of a
large gallery in memory. Every part takes its turn several times, and the best time counts; models are untrained, and
as fast as trained ones.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from evaluation.search import nearest, search_files
from flows.commands.embed import ROWS_PER_GROUP
from flows.commands.options.gallery import Gallery
from flows.commands.search import draw_answers
from storage.datasets.crops import folder_tracklets
from storage.devices import chosen_device
from storage.tables.parquet import write_table
from storage.tables.tracklets import Tracklet, index_table
from training.batches.clips import FrameSource
from training.embed import embed_tracklets, embeddings_table
from training.inference_model import InferenceModel
from training.model.encoders.encoder import VisualEncoder
from training.settings import EmbedSettings, EncoderSettings

TURNS = 5
TOP = 10
BLOCK = 8192
console = Console(highlight=False, width=110)


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of several turns."""
    times = []
    for _ in range(TURNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def unit_vectors(count: int, width: int, seed: int) -> np.ndarray:
    """Random unit vectors, (count, width) float32."""
    vectors = np.random.default_rng(seed).standard_normal((count, width), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_gallery(tracklets: list[Tracklet], count: int, width: int, folder: Path) -> tuple[Path, Path]:
    """A gallery file of random vectors whose tracklets show the frames of real ones, and its index."""
    many = [
        Tracklet(f"{number:07d}", "gallery", number + 1, 1, tracklets[number % len(tracklets)].frames)
        for number in range(count)
    ]
    paths = folder / "gallery.parquet", folder / "gallery.frames.parquet"
    write_table(embeddings_table(many, list(unit_vectors(count, width, 0)), width, {}), paths[0], ROWS_PER_GROUP)
    write_table(index_table(many), paths[1])
    return paths


def model_of(encoder: EncoderSettings, device: str) -> tuple[Callable[..., torch.Tensor], InferenceModel]:
    """An untrained finetuned model, as `training.inference_model.load_embedder` gives it."""
    visual = VisualEncoder(encoder)
    model = InferenceModel(visual, visual.trunk.finetuned).to(device)

    @torch.inference_mode()
    def embed(clips: torch.Tensor, camid: torch.Tensor) -> torch.Tensor:
        return model(clips.to(device), camid.expand(len(clips)).to(device)).cpu()

    return embed, model


def measure(encoder: EncoderSettings, settings: EmbedSettings, root: Path, count: int, frames: int) -> list[float]:
    """Seconds of each part of a search, in the order in which they happen."""
    tracklets = folder_tracklets(root)
    query = max(tracklets, key=lambda tracklet: len(tracklet.frames))
    query = Tracklet("query", "gallery", 0, -1, tuple(np.resize(query.frames, frames).tolist()))
    embed, model = model_of(encoder, chosen_device(settings.device))
    (vector,) = embed_tracklets(root, [query], embed, model.size, settings)
    if vector is None:
        raise SystemExit("the query's frames cannot be read")
    source = FrameSource(root, model.size, settings.decode_workers, 0)
    with tempfile.TemporaryDirectory() as folder:
        file, index = write_gallery(tracklets, count, len(vector), Path(folder))
        answers = search_files(["query"], vector[None], [file], TOP)
        gallery = Gallery((file,), (index,), root)
        decoding = best(lambda: source.read(query.frames if settings.sampling == "dense" else query.frames[:8]))
        whole = best(lambda: embed_tracklets(root, [query], embed, model.size, settings))
        ranking = best(lambda: search_files(["query"], vector[None], [file], TOP))
        drawing = best(lambda: draw_answers(root, query, answers, gallery, None, Path(folder) / "found.jpg"))
    return [decoding, max(whole - decoding, 0.0), ranking, drawing]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of crops")
    parser.add_argument("--gallery", type=int, default=10_000, help="tracklets of the gallery file")
    parser.add_argument("--frames", type=int, default=32, help="of the query")
    parser.add_argument("--large", type=int, default=1_000_000, help="tracklets of the gallery in memory")
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    encoders = {
        "small, 128 x 64": EncoderSettings(model="small", image_height=128, image_width=64),
        "ViT-B/16, 256 x 128": EncoderSettings(),
    }
    table = Table("model", "sampling", *("decode, ms", "embed, ms", "rank, ms", "picture, ms", "all, ms"))
    for name, encoder in encoders.items():
        for sampling in ("rrs", "dense"):
            settings = EmbedSettings(sampling=sampling, device=chosen.device)
            parts = measure(encoder, settings, chosen.data, chosen.gallery, chosen.frames)
            table.add_row(name, sampling, *(f"{1000 * part:,.0f}" for part in (*parts, sum(parts))))
    console.print(
        f"a query of {chosen.frames} frames, {chosen.gallery:,} tracklets, {torch.get_num_threads()} threads, "
        f"{chosen_device(chosen.device)}, best of {TURNS} turns"
    )
    console.print(table)
    width = 512
    queries, held = unit_vectors(1, width, 1), unit_vectors(chosen.large, width, 2)
    blocks = [(np.arange(s, min(s + BLOCK, len(held))), held[s : s + BLOCK]) for s in range(0, len(held), BLOCK)]
    took = best(lambda: nearest(queries, blocks, TOP))
    console.print(f"ranking {chosen.large:,} of {width} dimensions in memory: {1000 * took:,.0f} ms a query")


if __name__ == "__main__":
    main()
