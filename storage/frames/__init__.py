"""Where frames are read from: folders, archives, object stores; decoding; fingerprints."""
