"""What would run, and why: the pipeline walked without doing it, the scan of raw data, past runs."""
