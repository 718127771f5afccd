"""Checking a raw data set: counts, findings, broken and double frames."""
