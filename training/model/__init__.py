"""The method: skeleton encoder, prototypes, temporal modelling, losses, and the model that they make.

Door:
    body_encoder: BodyEncoder
    losses: batch_hard_triplet, smoothed_cross_entropy, supcon, supcon_among
    prototypes: mean_visual, shared_prototypes, skeleton_prototypes, visual_prototypes
    reid_model: embedding, Features, fusion_heads, Head, neck_of, ReidModel
    sequence_encoders: BODY, load_sequence_encoder, SequenceEncoder
    skeleton_encoder: kind_of, load_skeleton_encoder, SkeletonEncoder, SPREAD
    temporal: TemporalModelling

Not here: how it is trained (`training.looping`), and where batches come from (`training.batches`).
"""
