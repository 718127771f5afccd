"""Embeddings and labels in; ranking metrics, pictures and the report out. Knows no model.

The stages are `evaluate`, `report` and `splits`; `search` answers queries from galleries of any size.
"""
