"""From embeddings to metrics: distances, ranks, re-ranking, intervals; arrays in, arrays out.

Nothing that is read by people, and no file but those of embeddings.

Door:
    breakdown: by_length, camera_pairs, oddities
    distances: between, blended, euclidean, given, minus_cosines, nearest_columns
    embeddings: aligned, alike_in_both, Embeddings, GalleryKind, NOWHERE, of_tracklets, queries_and_gallery,
        read_embeddings, sampling_of
    expansion: expand, ExpansionSettings
    intervals: bootstrap, bootstrap_over_seeds, FLIPS, holm, LEVEL, Paired, paired, RESAMPLES
    judgement: LEFT_OUT, Protocol
    metrics: chance, per_query, PerQuery, Scores
    ranks: rank_gallery, Ranking
    reranking: rerank, RerankSettings
    vectors: row_blocks

Not here: files and pages: arrays in, arrays out, but for embeddings, which are read in blocks.
"""
