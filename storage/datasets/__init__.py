"""Readers of raw data sets, one small module a layout. docs/data-sets.md says how to add one."""
