"""Visual encoders: one file a family, and the one that a stage starts from."""
