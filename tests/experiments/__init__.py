"""Experiments that are more than arms of settings (those are in configs/experiments): baselines, spoiled data.

They run the pipeline's own stages over an artifact store in a folder, without Prefect, and print tables.
"""
