"""Readers of data sets of skeletons without images.

Door:
    readers: in_camera_axes, SEQUENCE_READERS, SequenceReader, SequenceSettings, skeleton_type

Not here: data sets with frames (`storage.datasets`), and how skeletons become sequences (`extraction.recordings`).
"""
