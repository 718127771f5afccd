"""The artifact store: artifacts, records of runs, saved states; verify, gc, copy."""
