"""Benchmarks of extraction against mmpose's own ways, every side in a process of its own, in one run."""
