"""The `features` stage: frozen visual features of every frame of one shard, computed once."""

from dataclasses import dataclass
from pathlib import Path

from storage.addresses import DataRoot
from storage.devices import chosen_device
from storage.progress import Progress
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import FEATURES
from storage.tables.tracklets import read_index
from training.batches.clips import FrameSource
from training.model.encoders.start import frame_features, load_encoder
from training.settings import EncoderSettings, FeatureSettings


@dataclass(frozen=True)
class Inputs:
    """The data root, one shard of the index, the trained encoder's folder or None, and which encoder it is."""

    data_root: DataRoot
    index: Path
    encoder: Path | None
    encoder_settings: EncoderSettings


def run(inputs: Inputs, settings: FeatureSettings, out_dir: Path, progress: Progress) -> None:
    """Write features.parquet: the projected CLS token of each frame, NaN where a frame cannot be read.

    Raises:
        WeightsError: the encoder's weights cannot be had or do not fit.
    """
    device = chosen_device(settings.device, "features.device")
    encoder = load_encoder(inputs.encoder, inputs.encoder_settings).eval().to(device)
    source = FrameSource(inputs.data_root, encoder.trunk.size, settings.decode_workers, cache_megabytes=0)
    tracklets = read_index(inputs.index)
    features = []
    for number, tracklet in enumerate(source.ahead(tracklets), start=1):
        features.append(frame_features(encoder, source.read(tracklet.frames), settings.batch_size, device))
        progress(number, len(tracklets), "tracklets")
    table = ragged_table([t.tracklet_id for t in tracklets], {"features": features}, FEATURES)
    write_table(table, out_dir / "features.parquet")
