"""The training loop: its hooks, schedules and saved states, on one device or several."""
