"""Frames -> 2D keypoints -> 3D skeletons, through mmpose. Knows nothing of identities.

Door:
    skeleton_files: ExistingSettings
    extract: *, ExtractionSettings, make_stream, write_skeletons
    recordings: FILE_NAME
    score: QualitySettings

Not here: identities, splits and metrics.
"""
