"""Visual encoders: one file a family, and the one that a stage starts from.

Door:
    encoder: VisualEncoder
    names: check_name, is_own
    small: fold_necks, SmallTrunk
    start: frame_features, load_encoder, try_out
    trunk: Composition, Trunk
    weights: on_hub, weight_files

Not here: what is learnt on top of them.
"""
