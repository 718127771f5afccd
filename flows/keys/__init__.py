"""What a step is, and what its key is made of: settings, inputs, and the code that the stage can reach.

Door:
    libraries: all_versions, installed_versions, LIBRARIES, library_versions
    reach: code_digests, ROOT
    reasons: as_groups, changes, flat, Line
    steps: key_of, Step
    syntax: PACKAGES

Not here: Prefect, and anything that is run or kept.
"""
