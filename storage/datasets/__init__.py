"""Readers of raw data sets, one small module a layout. docs/data-sets.md says how to add one.

Door:
    crops: folder_tracklets, NOBODY
    folds: fold_of
    published: PUBLISHED
    readers: Reader, READERS
    skeleton_files: files_table, find, read_files, SkeletonFiles
    videos: Boxes, cut, read_boxes

Not here: how frames are read (`storage.frames`), and what becomes of tracklets (`storage.index`).
"""
