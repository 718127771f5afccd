"""Worker processes of this machine: each on its GPU, and their lines and bars on this process's terminal."""

import logging
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

from prefect.logging.handlers import APILogHandler
from prefect.task_runners import ProcessPoolTaskRunner

from flows.watching.log_fields import JsonLines
from flows.watching.progress import bars

LOGGERS = ("csip", bars.name)
NVIDIA = Path("/proc/driver/nvidia/gpus")


@contextmanager
def process_runner(count: int) -> Iterator[ProcessPoolTaskRunner]:
    """Prefect's task runner of so many processes, started."""
    context = multiprocessing.get_context("spawn")
    lines, number = context.Queue(), context.Value("i", 0)
    listener = QueueListener(lines, _Here())
    listener.start()
    try:
        with ProcessPoolTaskRunner(max_workers=count, initializer=_begin, initargs=(lines, number)) as runner:
            yield runner
    finally:
        listener.stop()


class _Here(logging.Handler):
    """Hands a line on to whatever prints lines here; to the server and to files its own process has sent it."""

    def emit(self, record: logging.LogRecord) -> None:
        for handler in logging.getLogger(record.name.partition(".")[0]).handlers:
            if not isinstance(handler, APILogHandler) and not isinstance(handler.formatter, JsonLines):
                handler.handle(record)


def _begin(lines: Any, number: Any) -> None:
    """Runs once in each process, before its first task."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(QueueHandler(lines))
    with number.get_lock():
        mine = number.value
        number.value += 1
    if NVIDIA.is_dir():
        _use_gpu(mine)


def _use_gpu(number: int) -> None:
    """Models on `auto` go to the current device; trainings on several start processes of their own, and see all."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
