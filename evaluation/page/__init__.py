"""Numbers as rows, sentences and pictures, and the pages that they stand on.

Nothing is measured here.

Door:
    breakdown_rows: camera_matrices, length_rows, oddities
    check_rows: COLUMNS, count_rows, extent, finding_rows, length_rows, published, section, sizes, verdict
    comparison_page: difference_rows, interval, render
    drawing: cmc_curve, cmc_picture, epoch_curves, loss_curve
    embedding_map: drawn, embedding_map
    experiment_page: arm_rows, headline, markdown, render, validation_curves
    html: *, FOLDER, template, write_check
    left_out: left_out
    numbers: blocks, by_name, duration, level, percent
    pictures: pose_sheet, PosedFrames
    published: probe_of, published_results
    quality_rows: accuracy_rows, joint_table, STATUS_KINDS, status_rows
    ranking_rows: *, against_chance, headline, interval_text, intervals_told, model_name, protocol, score_table,
        verdict
    run_rows: lineage_rows, setting_rows, version_rows
    search_sheet: search_sheet, Shown
    showcase: answer_strip, answered_queries, data_uri, portrait, portraits, posed_tracklets, shown_tracklets,
        small_data_uri

Not here: numbers that are worked out here: a page shows what artifacts say.
"""
