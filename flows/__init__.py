"""The top floor, and the only one that knows Prefect: the rebuild flow, artifact keys, the command line.

Not here: what a stage computes. The only layer that knows Prefect, Typer and rich.
"""
