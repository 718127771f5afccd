"""How steps are done: as Prefect tasks, on threads, processes or a Ray cluster, until something asks them to stop."""
