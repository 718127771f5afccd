"""The lifter: 2D keypoints of a tracklet in, its 3D skeletons out."""
