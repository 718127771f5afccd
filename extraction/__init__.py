"""Frames -> 2D keypoints -> 3D skeletons, through mmpose. Knows nothing of identities."""
