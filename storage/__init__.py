"""The ground floor: data-set readers, the skeleton's definition, Parquet shards, the artifact store.

Imports nothing from the other packages of this project.
"""
