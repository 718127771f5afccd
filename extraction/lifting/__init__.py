"""The lifter: 2D keypoints of a tracklet in, its 3D skeletons out.

Door:
    canonical: LIMBS
    lifter: Lifter

Not here: pixels: a lifter sees keypoints alone.
"""
