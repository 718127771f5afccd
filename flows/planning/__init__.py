"""What would run, and why: the pipeline walked without doing it, the scan of raw data, past runs.

Door:
    history: as_json, compared, differing, find_run, metric_differences, Record, seed_groups, summary
    plan: plan, plan_from
    scan: current_index, kept_index, last_index
    walk: of_splits, walk

Not here: Prefect: a plan is made without it.
"""
