"""Embeddings and labels -> ranking metrics, pictures, report. Knows no model."""
