"""Fitting the project's own small pose models: a 2D estimator for the demo's people, and a 2D-to-3D lifter."""
