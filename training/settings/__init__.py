"""Settings of the stages that train, a module each.

They lie apart from the code that uses them, since that imports torch and timm, which takes seconds and most of a
gigabyte: a plan of a run, or a run that finds nothing to do, needs only the settings.
"""
