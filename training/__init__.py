"""Models, losses, samplers and the training stages; embedding with a trained model.

Door:
    embed: embed_tracklets, embeddings_table, without_readable_frame
    export: export, TOLERANCE
    export_formats: export_file
    inference_model: About, described, Embed, load_embedder
    settings: EmbedSettings, EncoderSettings, FeatureSettings, FinetuneSettings, MODEL, PretrainSettings,
        SETTINGS, SkeletonOnlySettings, TrainerSettings, VALIDATION, VisualSettings

Not here: metrics, and what a step is kept by.
"""
