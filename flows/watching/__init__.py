"""What a run tells while it goes on: progress, logs, the Prefect UI, and the server behind it.

Door:
    failures: plain_failure
    log_fields: JsonLines, lines_of, log_to
    names: data_name, name_run, run_tags
    progress: bars, LOG_SECONDS, pace, quietly, RunProgress, StepProgress
    result: Result
    server: ensure_server, healthy, ServerLost, stop_server, ui_url, watched
    ui_artifacts: show, show_plan

Not here: deciding anything: a run goes on though nobody watches.
"""
