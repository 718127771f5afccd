"""Results on disk, of a store or of somebody else: read with checks, and compared.

How a comparison is shown belongs to `page`.

Door:
    arms: compare_arms, is_measure
    comparison: compare, over_seeds, RISK
    external: read_external, vectors_of
    files: FILES, is_result, read_result, Result

Not here: how the numbers come about (`evaluation.ranking`), and how they look (`evaluation.page`).
"""
