"""Where the tasks of a run are done: threads or processes of this machine, or the machines of a Ray cluster.

Prefect's own task runners do the work. Here is which one, how many tasks are handed over ahead of time, and what
becomes of tasks whose worker died.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from threading import Semaphore
from typing import Any, Self
from uuid import UUID

import httpx
from prefect import Task, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.futures import PrefectFuture, PrefectWrappedFuture
from prefect.states import Crashed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.config import Config
from flows.running.orders import Order
from flows.running.processes import process_runner
from flows.settings import Needs, RunnerSettings
from flows.stages import TRAININGS, WITH_MODELS
from storage.errors import EnvironmentProblem

log = logging.getLogger("csip")

LOST = 3
"""So many times a task whose worker died is started again; what kills every worker is not tried for ever."""
AHEAD = 4
"""Tasks handed over for each worker, so that none waits for work; each that waits takes memory."""
AHEAD_ON_RAY = 1000
"""As many as a large cluster has places; its size may change while a run is going on."""
ENVIRONMENT = ("PREFECT_LOGGING_EXTRA_LOGGERS", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "OMP_WAIT_POLICY")
"""What workers of a Ray cluster are told of this process's environment; never credentials, which Ray would show."""


class Workers:
    """Submits tasks to a task runner, and hands in again what a dead worker took with it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ray = config.runner.kind == "ray"
        self.ahead = AHEAD_ON_RAY if self.ray else AHEAD * config.workers
        self.open = ExitStack()
        self.runner: TaskRunner[Any] | None = None
        self.handed: list[PrefectFuture[Any]] = []

    def __enter__(self) -> Self:
        with _own_sigterm():
            self.runner = self.open.enter_context(task_runner(self.config))
        return self

    def __exit__(self, *error: Any) -> None:
        self.runner = None
        self.open.__exit__(*error)

    @property
    def places(self) -> int:
        """How many tasks are done at once: of a Ray cluster as it is now."""
        if not self.ray:
            return self.config.workers
        import ray

        cores: float = ray.cluster_resources().get("CPU", 1.0)
        return max(1, round(cores / max(self.config.runner.cpus, 0.1)))

    def states(
        self, build: Task[..., Any], orders: Sequence[Order], done: Callable[[str], object] = lambda _: None
    ) -> list[State[Any]]:
        """How a task ended for each of these orders of one stage, of which all have; `done` is given their labels.

        Raises:
            EnvironmentProblem: workers died again and again.
        """
        states: dict[int, State[Any]] = {}
        dead: list[UUID] = []
        self.handed = []
        for again in range(LOST + 1):
            futures = self._submit(build, {n: order for n, order in enumerate(orders) if n not in states}, done)
            lost = []
            for number, future in futures.items():
                try:
                    self._wait(future)
                    states[number] = _explained(future.state, orders[number])
                except BrokenExecutor:  # of processes: the death of one ends them all
                    lost.append(number)
                    dead.append(future.task_run_id)
            if not lost:
                _tell_dead(dead)
                return [states[number] for number in range(len(orders))]
            if again < LOST:
                log.warning("a worker process died: %d tasks are started again", len(lost))
                self.__exit__(None, None, None)
                self.__enter__()
        labels = [orders[number].label for number in lost]
        raise EnvironmentProblem(
            f"worker processes died {LOST + 1} times while they did these tasks",
            where=", ".join(labels[:5]) + (", ..." if len(labels) > 5 else ""),
            fix="see whether the memory was full (fewer `workers`), then run again: what was finished is kept",
        )

    def stop(self, seconds: float) -> None:
        """Ask the tasks on a Ray cluster to stop, and wait for so long: the end of this process would end them at once.

        Threads and processes of this machine hear of it by themselves.
        """
        if not self.ray:
            return
        import ray

        handed = [future.wrapped_future for future in self.handed if isinstance(future, PrefectWrappedFuture)]
        for task in handed:
            ray.cancel(task)
        if handed:
            ray.wait(handed, num_returns=len(handed), timeout=seconds)

    def _submit(
        self, build: Task[..., Any], orders: Mapping[int, Order], done: Callable[[str], object]
    ) -> dict[int, PrefectFuture[Any]]:
        if self.runner is None:
            raise RuntimeError("the workers are used outside of `with`")
        free = Semaphore(self.ahead)

        def ended(label: str, _: PrefectFuture[Any]) -> None:
            free.release()
            done(label)

        futures: dict[int, PrefectFuture[Any]] = {}
        for number, order in orders.items():
            free.acquire()
            order.interrupted = self.ray
            with self._asked(order.step.stage):
                future = self.runner.submit(build, {"order": order, "label": order.label})
            self.handed.append(future)
            future.add_done_callback(partial(ended, order.label))
            futures[number] = future
        return futures

    def _wait(self, future: PrefectFuture[Any]) -> None:
        if self.ray:
            # a signal that arrives within Ray's own code comes out of it as another error, and is lost
            ready = threading.Event()
            future.add_done_callback(lambda _: ready.set())
            ready.wait()
        future.wait()

    def _asked(self, stage: str) -> AbstractContextManager[object]:
        if not self.ray:
            return nullcontext()
        from prefect_ray.context import remote_options

        # Ray hands in again itself what a dead worker or machine took with it
        wanted = needs(self.config.runner, stage, self.config.trainer.devices)
        options: AbstractContextManager[object] = remote_options(**wanted, max_retries=LOST)
        return options


def needs(settings: RunnerSettings, stage: str, devices: int) -> dict[str, float]:
    """What Ray keeps for each task of a stage, of which trainings use so many devices: `num_cpus` and `num_gpus`."""
    own = settings.stages.get(stage, Needs())
    gpus = settings.gpus if stage in WITH_MODELS else 0.0
    if gpus and stage in TRAININGS and devices > 1:
        gpus = max(gpus, float(devices))
    return {
        "num_cpus": settings.cpus if own.cpus is None else own.cpus,
        "num_gpus": gpus if own.gpus is None else own.gpus,
    }


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """What this process does on SIGTERM is as before: Ray would end it as if it had failed."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def task_runner(config: Config) -> AbstractContextManager[TaskRunner[Any]]:
    """Prefect's task runner for a configuration, to be started by `with`.

    Raises:
        EnvironmentProblem: Ray is asked for and not installed.
    """
    if config.runner.kind == "ray":
        return _ray_runner(config)
    if config.runner.kind == "processes":
        return process_runner(config.workers)
    return ThreadPoolTaskRunner(max_workers=config.workers)


def _ray_runner(config: Config) -> TaskRunner[Any]:
    # read when Ray is imported
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not config.runner.address:
        # else Ray listens at all addresses of this machine, whatever it is told; of other systems it is the default
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        from prefect_ray.task_runners import RayTaskRunner
    except ImportError as error:
        raise EnvironmentProblem(
            f"Ray cannot be used here: {error}", where="runner.kind", fix="pip install csip-reid[ray]"
        ) from error
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    options: dict[str, Any] = {"runtime_env": {"env_vars": environment}, "logging_level": logging.WARNING}
    if not config.runner.address:
        cores = max(1, round(config.workers * config.runner.cpus))
        options |= {"num_cpus": cores, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    if config.runner.address.startswith("127."):
        options["_node_ip_address"] = config.runner.address.partition(":")[0]
    runner: TaskRunner[Any] = RayTaskRunner(address=config.runner.address or "local", init_kwargs=options)
    return runner


def _explained(state: State[Any], order: Order) -> State[Any]:
    """A task that Ray has given up ends with an error that says so."""
    if not state.is_crashed():
        return state
    error = EnvironmentProblem(
        f"the workers that did {order.label} died, or could not be reached: {state.message}",
        where=order.label,
        fix="see in Ray's logs what became of them (its memory?), then run again: what was finished is kept",
    )
    return Failed(message=str(error), data=error)


def _tell_dead(task_runs: Sequence[UUID]) -> None:
    """Task runs whose worker died would be running for ever in the UI; those that had not begun are not known there."""
    if not task_runs:
        return
    with get_client(sync_client=True) as client:
        for run in task_runs:
            try:
                client.set_task_run_state(run, Crashed(message="The worker process died."), force=True)
            except (httpx.HTTPError, PrefectException) as error:
                log.debug("the server does not hear of a dead task run: %s", error)
