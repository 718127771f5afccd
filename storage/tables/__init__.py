"""Arrow schemas of what is stored, and Parquet files of them.

Door:
    parquet: has_schema, Ragged, ragged_table, read_ragged, read_table, ROWS_PER_GROUP, shard_of, stream_table,
        table_writer, write_table
    schema: EMBEDDINGS, FEATURES, FRAME_DIGESTS, FRAME_STATUS, INDEX, MODEL_KEY, SAMPLING_KEY, SEQUENCES,
        SKELETON_FILES, SKELETON_KEY, SKELETON_SHAPES, SKELETONS, table_schema
    tracklets: DISTRACTOR_PID, find_tracklets, index_table, JUNK_PID, read_index, SPLITS, stream_index, Tracklet

Not here: what a table is made for; each stage writes its own.
"""
