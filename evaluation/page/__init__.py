"""Numbers as rows, sentences and pictures, and the pages that they stand on.

Nothing is measured here.
"""
