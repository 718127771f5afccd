"""`csip show`: one artifact of a store, and the skeletons of one tracklet as a picture.

What every command shares is `flows.commands.options`.

Door:
    artifact: artifact
    skeletons: draw, skeletons
"""
