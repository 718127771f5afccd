"""Embeddings and labels in; ranking metrics, pictures and the report out. Knows no model.

`evaluate` and `report` are the stages; `ranking` and `metrics` are the numbers, `pictures` and `curves` what is seen.
"""
