"""How steps are done: as Prefect tasks, on threads, processes or a Ray cluster, until something asks them to stop.

Door:
    builder: TaskBuilder
    limits: GPU_LIMIT, slot, store_limit
    orders: installed
    runners: task_runner, Workers
    stops: ended_by_sigterm, stoppable
    tasks: can_pass, Reference, reference_artifacts, tag

Not here: what is run (`flows.pipeline`), and what is said of it (`flows.watching`).
"""
