"""Which models of a run are evaluated: apart from what needs Prefect, which takes seconds to import."""

MODELS = {
    "visual": "visual encoder alone",
    "finetuned": "after finetuning",
    "recordings": "whole recordings",
    "sequences": "sequences",
}
"""Part of a metrics step -> what was ranked."""
