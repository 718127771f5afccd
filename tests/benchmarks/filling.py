"""A full store without the work: artifacts of another run, published under the keys of a larger data set's steps."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from extraction.skeletons import FILE_NAME
from flows.builder import Builder
from flows.keys.steps import Step
from storage.store.artifacts import Artifact, Store
from storage.store.manifests import MANIFEST
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import read_index


@dataclass
class Walker(Builder):
    """Finds every step's artifact, or publishes links to the files of another run's step of its name.

    Attributes:
        store: to look in and to fill.
        donors: label -> artifact of the other run.
        artifacts: label -> artifact, of the steps so far.
    """

    store: Store
    donors: Mapping[str, Artifact] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Find or publish steps."""
        for step in steps:
            self.artifacts[step.label] = self.store.find(step.stage, step.key) or self._publish(step)
        return [self.artifacts[step.label] for step in steps]

    def _publish(self, step: Step) -> Artifact:
        with self.store.staging(step.stage, step.key, resume=False) as folder:
            shutil.copytree(self.donors[step.label].path, folder, copy_function=os.link, dirs_exist_ok=True)
            (folder / MANIFEST).unlink()
            if step.stage == "skeletons":
                write_blank(step.arguments()["index"], folder / FILE_NAME)
            return self.store.publish(folder, step.stage, step.key, step.facts, 0.0)


def write_blank(index: Path, path: Path) -> None:
    """Write skeletons of zeros for the tracklets of an index shard, in place of the file that is linked there."""
    tracklets = read_index(index)
    columns = {
        name: [
            np.zeros((len(t.frames), *shape), SKELETONS.field(name).type.value_type.to_pandas_dtype())
            for t in tracklets
        ]
        for name, shape in SKELETON_SHAPES.items()
    }
    path.unlink()
    write_table(ragged_table([t.tracklet_id for t in tracklets], columns, SKELETONS), path)
