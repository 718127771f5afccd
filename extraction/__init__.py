"""Frames -> 2D keypoints -> 3D skeletons, through mmpose. Knows nothing of identities.

Door:
    existing: ExistingSettings
    extract: *, ExtractionSettings, make_stream, write_skeletons
    recordings: FILE_NAME
    score: QualitySettings

Not here: identities, splits and metrics.
"""
