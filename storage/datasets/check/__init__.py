"""Checking a raw data set: counts, findings, broken and double frames.

Door:
    check: check
    counts: data_check
    findings: each_file_once, Finding, finding, Item, of_digests, of_empty, of_lists, of_missing

Not here: the readers themselves, and the rows of a page (`evaluation.page`).
"""
