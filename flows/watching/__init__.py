"""What a run tells while it goes on: bars, logs, the Prefect UI, and the server behind it."""
