"""Where frames are read from: folders, archives, object stores; decoding; fingerprints.

Door:
    files: DataFiles
    fingerprints: DIGEST_BYTES, digest_of, Digests, fingerprint, Fingerprinted, offsets_of, unchanged
    images: decode_frame, Frame, read_bytes, read_frame
    stamps: MISSING

Not here: which frames make a tracklet (`storage.datasets`), and anything that a model wants of a picture.
"""
