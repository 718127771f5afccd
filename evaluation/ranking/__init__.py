"""From embeddings to metrics: distances, ranks, re-ranking, intervals."""
