"""Names of the stages, and what is known of each without the code that it runs."""

STAGES = (
    "index",
    "skeletons",
    "quality",
    "visual",
    "features",
    "pretrained",
    "finetuned",
    "embeddings",
    "metrics",
    "report",
    "splits",
)
"""In the order in which they run."""

WITH_MODELS = ("skeletons", "visual", "features", "pretrained", "finetuned", "embeddings")
"""Stages that compute with models, and so on a GPU where there is one."""

TRAININGS = ("visual", "pretrained", "finetuned")

EVALUATED = {
    "visual": "visual encoder alone",
    "skeletons": "skeletons alone",
    "finetuned": "after finetuning",
    "fused": "fused with skeletons",
    "recordings": "whole recordings",
    "sequences": "sequences",
}
"""Part of a metrics step -> what was ranked."""
