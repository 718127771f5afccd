"""Rebuilds as Prefect deployments: on a schedule, from the UI, on a cluster; and what each machine there needs.

Door:
    deployments: deployment, IMAGE_FOLDER, limits, schedule, Wishes
    machines: differences, machines_of
    registration: *

Not here: runs by hand, which need none of it.
"""
