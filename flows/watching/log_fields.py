"""Which step a line of the log belongs to: as attributes of its record, before its text, and in files of JSON lines.

The step that is built in this thread is a context variable, and every record of loggers below `csip` is stamped with it
when it is made, in whichever thread or process: so a handler anywhere, Prefect's too, finds it. A line about one
tracklet says so itself, by `extra={"tracklet": id}`.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.keys.steps import Step

FILE = "CSIP_LOG"
"""Variable of the environment that names the file of JSON lines, for processes that a run starts."""
MARK = " | "


@dataclass(frozen=True)
class LogFields:
    """What a line belongs to."""

    step: str = ""  # as a person reads it, e.g. `skeletons train-003`; empty of a line that belongs to none
    stage: str = ""
    part: str = ""  # which of several, e.g. the shard `train-003`
    key: str = ""
    run: str = ""  # id of the run that builds the step


_FIELDS: ContextVar[LogFields] = ContextVar("csip_step", default=LogFields())  # noqa: B039 - it is frozen


@contextmanager
def lines_of(step: Step, run: str) -> Iterator[None]:
    """Within this, lines of this thread belong to a step that a run builds."""
    stamp_records()
    if FILE in os.environ:
        log_to(os.environ[FILE])
    token = _FIELDS.set(LogFields(step.label, step.stage, step.part, step.key, run))
    try:
        yield
    finally:
        _FIELDS.reset(token)


def stamp_records() -> None:
    """From now on, records of loggers below `csip` in this process carry their step; once is enough."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Stamp):
        logging.setLogRecordFactory(_Stamp(make))


def log_to(where: str) -> None:
    """From now on, write all lines of loggers below `csip` as JSON lines; `-` is stderr. Once a process is enough."""
    logger = logging.getLogger("csip")
    if any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        return
    handler: logging.Handler
    if where == "-":
        handler = logging.StreamHandler(sys.stderr)
    else:
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(where, encoding="utf-8")  # appends: several processes may write lines
    handler.setFormatter(JsonLines())
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    os.environ[FILE] = where
    stamp_records()


class JsonLines(logging.Formatter):
    """A record as a line of JSON: time, level, stage, shard, tracklet, key, run, message; error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "csip", LogFields())
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "stage": fields.stage,
            "shard": fields.part,
            "tracklet": getattr(record, "tracklet", ""),
            "key": fields.key,
            "run": fields.run,
            "message": record.getMessage().removeprefix(f"{fields.step}{MARK}" if fields.step else ""),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Stamp:
    """A factory of records, stamped with the step of the context in which they are made."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self.make = make

    def __call__(self, name: str, *args: Any, **more: Any) -> logging.LogRecord:
        record = self.make(name, *args, **more)
        fields = _FIELDS.get()
        if fields.step and name.partition(".")[0] == "csip":
            record.csip = fields
            message = record.getMessage()
            if not message.startswith(fields.step):  # many lines are sentences about the step
                record.msg, record.args = f"{fields.step}{MARK}{message}", None
        return record
