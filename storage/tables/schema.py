"""Arrow schemas of the artifacts that are tables, each with a version and units in its metadata."""

import pyarrow as pa

from storage.skeleton import NUM_JOINTS

FRAME_STATUS = ("ok", "low_confidence", "no_person", "unreadable")
"""What extraction says of each frame; stored as the position in this tuple (uint8)."""


def table_schema(name: str, version: int, units: str, fields: list[tuple[str, pa.DataType]]) -> pa.Schema:
    """A schema without empty values, that says its own name, version and units."""
    metadata = {"csip.schema": name, "csip.version": str(version), "csip.units": units}
    return pa.schema([pa.field(column, kind, nullable=False) for column, kind in fields], metadata=metadata)


LABELS = [("tracklet_id", pa.string()), ("split", pa.string()), ("pid", pa.int32()), ("camid", pa.int32())]
"""What a tracklet is called, what it is for, and who is seen by which camera."""

INDEX = table_schema(
    "index",
    2,
    "frames: paths relative to the data root; fingerprint: blake2b-128 of the frames' bytes; clothes: from 1 within an "
    "identity, 0: not known",
    [
        *LABELS,
        ("clothes", pa.int32()),
        ("frames", pa.list_(pa.string())),
        ("fingerprint", pa.string()),
    ],
)

FRAME_DIGESTS = table_schema(
    "frame_digests",
    1,
    "digests: blake2b-128 of each frame's bytes, 16 bytes a frame of the index's tracklet; zeros for a missing frame",
    [("tracklet_id", pa.string()), ("digests", pa.binary())],
)

SKELETONS = table_schema(
    "skeletons",
    2,
    "keypoints_3d: metres, pelvis-centred, x right y down z away; keypoints_2d: pixels of the source frame; "
    "scores: 0 to 1; status: "
    + " ".join(f"{i}={name}" for i, name in enumerate(FRAME_STATUS))
    + "; filled: the pose is interpolated between its neighbours in time, whatever the status",
    [
        ("tracklet_id", pa.string()),
        ("num_frames", pa.int32()),
        # a tracklet's T x 17 x C values, frame by frame, joint by joint
        ("keypoints_3d", pa.list_(pa.field("item", pa.float32(), nullable=False))),
        ("keypoints_2d", pa.list_(pa.field("item", pa.float32(), nullable=False))),
        ("scores", pa.list_(pa.field("item", pa.float32(), nullable=False))),
        ("status", pa.list_(pa.field("item", pa.uint8(), nullable=False))),
        ("filled", pa.list_(pa.field("item", pa.bool_(), nullable=False))),
    ],
)
SKELETON_SHAPES = {
    "keypoints_3d": (NUM_JOINTS, 3),
    "keypoints_2d": (NUM_JOINTS, 2),
    "scores": (NUM_JOINTS,),
    "status": (),
    "filled": (),
}

SEQUENCES = table_schema(
    "sequences",
    1,
    "keypoints_3d: metres, centred on the root, x right y down z away, T x J x 3, frame by frame, joint by joint; "
    "frames that were not tracked are left out; skeleton: kind of the skeletons, see storage.skeleton",
    [
        *LABELS,
        ("num_frames", pa.int32()),
        ("keypoints_3d", pa.list_(pa.field("item", pa.float32(), nullable=False))),
    ],
)
SKELETON_KEY = b"csip.skeleton"

SKELETON_FILES = table_schema(
    "skeleton_files",
    1,
    "files: paths relative to the data root, one a frame of the index's tracklet, empty where there is none; "
    "fingerprint: blake2b-128 of the files' bytes",
    [("tracklet_id", pa.string()), ("files", pa.list_(pa.string())), ("fingerprint", pa.string())],
)

FEATURES = table_schema(
    "features",
    1,
    "features: frozen projected CLS token of each frame, T x P, frame by frame",
    [
        ("tracklet_id", pa.string()),
        ("num_frames", pa.int32()),
        ("features", pa.list_(pa.field("item", pa.float16(), nullable=False))),
    ],
)

EMBEDDINGS = table_schema(
    "embeddings",
    3,
    "embedding: L2-normalised; clothes: as in the index; frames: of the tracklet, 0 where that is not known",
    [
        *LABELS,
        ("clothes", pa.int32()),
        ("frames", pa.int32()),
        ("embedding", pa.list_(pa.field("item", pa.float32(), nullable=False))),
    ],
)
SAMPLING_KEY = "csip.sampling"
MODEL_KEY = "csip.model"  # in the metadata of embeddings: what they were made with, as `About.embeds_as` says
"""Of a file's metadata: how frames were sampled for its embeddings (rrs, dense)."""
