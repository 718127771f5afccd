"""The sides of `make bench-training`."""
