"""Pose models and their weights: where they come from, how they are checked, and mmpose itself.

Door:
    mmpose_compat: mmpose_scope
    pose_model: load, PoseModel
    weights: config_files, DEFAULT_CACHE, expected_digest, find_config, Found, locate, look, place,
        PoseModelSettings, PROJECT

Not here: what a model predicts and how it is asked (`extraction.pose2d`, `extraction.lifting`).
"""
