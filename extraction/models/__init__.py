"""The project's own weights, with the configs of their models."""
