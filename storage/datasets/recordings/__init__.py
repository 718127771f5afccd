"""Readers of data sets of skeletons without images."""
