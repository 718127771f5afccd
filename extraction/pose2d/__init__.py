"""The 2D pose estimator: crops in, keypoints of the 17 joints out.

Door:
    estimator: Crops, Estimator
    keypoints: Poses2D

Not here: frames of a tracklet beside each other: that begins with `extraction.lifting`.
"""
