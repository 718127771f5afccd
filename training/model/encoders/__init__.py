"""Visual encoders: one file a family, and the one that a stage starts from.

Door:
    start: frame_features, load_encoder
    vit: CLIP_MEAN, CLIP_STD, fold_necks, VisualEncoder

Not here: what is learnt on top of them.
"""
