"""From embeddings to metrics: distances, ranks, re-ranking, intervals; arrays in, arrays out.

Nothing that is read by people, and no file but those of embeddings.
"""
