"""The one family of errors that a user is meant to read: what happened, where, and what to do."""

import errno
from collections.abc import Sequence
from typing import Any

DISK_ERRORS = {
    errno.ENOSPC: "free space on this disk and run again; finished artifacts are kept",
    errno.EDQUOT: "free some of your quota and run again; finished artifacts are kept",
    errno.EROFS: "the store is on a read-only file system; set another with --set store=PATH",
    errno.EACCES: "you may not write here; set another store with --set store=PATH",
    errno.EIO: "the disk reports errors; move the store to a sound one with --set store=PATH",
}


class CsipError(Exception):
    """A problem that the person running the pipeline can act on.

    Args:
        what: what happened, one sentence.
        where: the file, tracklet or setting concerned.
        fix: what to do about it.

    Attributes:
        passing: another try may mend it, without anybody doing anything: a network or a service that failed.
    """

    passing = False

    def __init__(self, what: str, *, where: object | None = None, fix: str | None = None) -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        # errors of workers reach the run's own process; what Exception does by itself would lose the keywords
        return type(self).__new__, (type(self), *self.args), self.__dict__

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  to do: {self.fix}")
        return "\n".join(lines)


class DataError(CsipError):
    """The raw data set is missing something, is damaged, or contradicts itself.

    Args:
        what: what happened; of many problems, the first.
        where: the file or folder concerned.
        fix: what to do about it.
        problems: all of the problems, where there can be several.
    """

    def __init__(
        self, what: str, *, where: object | None = None, fix: str | None = None, problems: Sequence[str] = ()
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.problems = tuple(problems)


class SettingsError(CsipError):
    """A setting is unknown, misspelt, out of range, or contradicts another."""


class WeightsError(CsipError):
    """Model weights are missing, damaged, or do not fit the model."""


class StoreError(CsipError):
    """The artifact store cannot be read or written as it must."""


class DamagedError(StoreError):
    """Something that was published is gone or holds other bytes; it has left the store, and can be made again."""


class EnvironmentProblem(CsipError):
    """This machine lacks something that the run needs (a server, a device, disk, network)."""


def as_store_error(error: OSError, where: object) -> StoreError:
    """What a user can do about an error of the operating system."""
    fix = DISK_ERRORS.get(error.errno or 0, "check the disk, then run again; finished artifacts are kept")
    return StoreError(f"the artifact store cannot be written: {error.strerror or error}", where=where, fix=fix)
