"""How good skeletons are: from themselves, and against the truth where there is one.

Door:
    consistency: average, consistency, gathered, rounded
    pose_metrics: joint_errors, pck, procrustes_align

Not here: the stage that reports them (`extraction.score`).
"""
