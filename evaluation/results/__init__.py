"""Results on disk, of a store or of somebody else: read with checks, and compared.

How a comparison is shown belongs to `page`.
"""
