"""Results on disk, of a store or of somebody else: read with checks, and compared."""
