"""From tracklets to batches: clips, the order in which they are drawn, augmentation, the loader.

Door:
    augment: augmented, draw_signs, mirrored
    clips: Clips, draw_clips, FrameSource, PerFrame, read_clips, read_features, read_skeletons, read_training_set,
        sample_frames, TrainingSet
    exchange: exchanged
    loader: Batch, Make, Plan, Steps
    sampling: covering_clips, dense_clips, identity_batches, random_identity_batches, segment_frames, uniform_batches,
        whole_clips
    sequences: read_recordings, Recordings
    visibility: visibility

Not here: models.
"""
