"""Embeddings and labels in; ranking metrics, pictures and the report out. Knows no model.

The stages are `evaluate`, `report` and `splits`; `search` answers queries from galleries of any size.

Door:
    evaluate: EvaluationSettings, Inputs, run
    report: cmc_tables, ReportSettings
    search: search_files
    splits: *

Not here: models: whatever made the embeddings is ranked alike.
"""
