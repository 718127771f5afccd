"""How good skeletons are: from themselves, and against the truth where there is one."""
