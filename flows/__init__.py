"""The top floor, and the only one that knows Prefect: the rebuild flow, artifact keys, the command line."""
