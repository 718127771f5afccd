"""Experiments: does the method do what it claims? Run as `python -m tests.experiments.gait` and `.ablation`.

They run the pipeline's own stages over an artifact store in a folder, without Prefect, and print tables.
"""
