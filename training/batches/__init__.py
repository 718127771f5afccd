"""From tracklets to batches: clips, the order in which they are drawn, augmentation, the loader."""
