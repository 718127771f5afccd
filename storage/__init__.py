"""The ground floor: data-set readers, the skeleton's definition, Parquet shards, the artifact store.

Imports nothing from the other packages of this project.

Door:
    addresses: checked, data_root, DataRoot, FETCHED, seen_once
    bones: equal_bones, has_rings, paths, SHORTEST, tree
    devices: chosen_device
    disk: locked, sync, whole, write_whole
    errors: *, CsipError, DamagedError, DataError, EnvironmentProblem, SettingsError, StoreError, WeightsError
    index: BOTH, DataSettings, PARTS, reader_of, Scan, scan, shard_names, shard_sizes, splits, write_index
    progress: Progress, silent
    secrets: without_secrets
    settings: neutral, Settings
    skeleton: centre_on_pelvis, converted, described_kind, EDGES, H36M17, JOINTS, MIRROR_ORDER, MIRROR_PAIRS,
        NUM_JOINTS, skeleton_of, skeleton_text, SkeletonType
    stop: REQUEST, Request, Stopped
    threads: in_order, repeating
    wording: be, below, have, listed, many, one_line

Not here: models, metrics, flows. It imports none of the other layers.
"""
