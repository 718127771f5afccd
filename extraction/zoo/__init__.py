"""Pose models and their weights: where they come from, how they are checked, and mmpose itself."""
