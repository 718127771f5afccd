"""The generated demo data set: animated people rendered to crops in the MARS layout, with their true joints.

Door:
    dataset: *, DemoSettings

Not here: reading it back: it is in the MARS layout, and read as that.
"""
