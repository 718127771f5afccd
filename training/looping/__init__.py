"""The training loop: its hooks, schedules and saved states, on one device or several.

Door:
    distributed: gather, own_share, rank, world_size
    hooks: Validation
    launch: on_all_devices
    loop: Task, train
    schedules: share_of_rate, warmup_cosine, warmup_steps

Not here: what is learnt: a stage gives the loop its model, batches and losses.
"""
