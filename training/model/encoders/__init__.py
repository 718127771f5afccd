"""Visual encoders: one file a family, and the one that a stage starts from.

Door:
    encoder: VisualEncoder
    names: check_name
    small: fold_necks, SmallTrunk
    start: frame_features, load_encoder

Not here: what is learnt on top of them.
"""
