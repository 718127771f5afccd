"""Rebuilds as Prefect deployments: on a schedule, from the UI, on a cluster; and what each machine there needs."""
