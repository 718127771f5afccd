"""The 2D pose estimator: crops in, keypoints of the 17 joints out."""
