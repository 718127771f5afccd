"""The Prefect server that a run reports to: the one that is configured, or a local one started in the background."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.settings import ServerSettings
from storage.disk import locked
from storage.errors import EnvironmentProblem
from storage.threads import repeating

log = logging.getLogger("csip")
START_SECONDS = 180
"""A new database takes minutes on a machine that is busy; one that dies is noticed at once."""
MISSED = 2
"""So many questions in a row without an answer, and the local server is dead."""
PATIENCE = 10
"""So many, and the run goes on without a configured server: it may be starting again."""
PORTS_TRIED = 20


class ServerLost(EnvironmentProblem):
    """The Prefect server stopped answering while a run was going on."""


def healthy(api_url: str) -> bool:
    """Whether a Prefect API answers at this address."""
    import httpx  # only who runs needs it, not who plans

    try:
        return httpx.get(f"{api_url}/health", timeout=2, trust_env=False).json() is True
    except (httpx.HTTPError, ValueError):
        return False


def ensure_server(settings: ServerSettings) -> str:
    """The address of a Prefect API that answers, starting a local server if there is none.

    The server keeps running after this process ends; `prefect server stop` or its pid file ends it.

    Raises:
        EnvironmentProblem: the configured server does not answer, or a local one does not start.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        if not healthy(configured):
            raise EnvironmentProblem(
                "the Prefect server does not answer",
                where=f"PREFECT_API_URL={configured}",
                fix="start it, or unset PREFECT_API_URL to use a local server",
            )
        return configured
    return local_server(settings)


def local_server(settings: ServerSettings) -> str:
    """The address of the local server, started if it does not answer.

    Raises:
        EnvironmentProblem: it does not start.
    """
    home = settings.home.expanduser()
    with locked(home / "start.lock"):  # two runs that start at once share one server
        remembered = home / "api_url"
        if remembered.exists() and healthy(remembered.read_text()):
            return remembered.read_text()
        url = _start(home, settings.port)
        remembered.write_text(url)
        return url


@contextmanager
def watched(settings: ServerSettings, api_url: str, *, ours: bool) -> Iterator[None]:
    """Meanwhile, start the local server again if it dies, and let nobody wait for a configured one that did.

    Prefect's clients find the local one at its old address. While a configured server is silent, what is told to it is
    not tried again (each of Prefect's requests would take a minute); that ends when it answers. For the clients of the
    settings that are active here.
    """
    from prefect.settings import get_current_settings

    client = get_current_settings().client
    retries, missed = client.max_retries, 0

    def look() -> None:
        nonlocal missed
        missed = 0 if healthy(api_url) else missed + 1
        if ours and missed >= MISSED:
            log.warning("the Prefect server died; it is started again")
            with suppress(EnvironmentProblem):
                local_server(settings)
            missed = 0
        elif not ours and missed == PATIENCE:
            log.warning("the Prefect server at %s does not answer; the run goes on without it", api_url)
            client.max_retries = 0
        elif not missed and client.max_retries != retries:
            log.info("the Prefect server at %s answers again", api_url)
            client.max_retries = retries

    try:
        with repeating(look, 1):
            yield
    finally:
        client.max_retries = retries


def _start(home: Path, first_port: int) -> str:
    port = _free_port(first_port)
    url = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": url,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    with log.open("a") as stream:
        process = subprocess.Popen(  # noqa: S603 - a fixed command of our own interpreter
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # outlives this command, and its Ctrl-C
        )
    (home / "server.pid").write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if healthy(url):
            return url
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise EnvironmentProblem(
        "the local Prefect server did not start",
        where=log,
        fix="read the end of this log; `csip doctor` checks the rest",
    )


def stop_server(settings: ServerSettings) -> bool:
    """End the local server that `ensure_server` started; False if none is running."""
    pid_file = settings.home.expanduser() / "server.pid"
    try:
        os.kill(int(pid_file.read_text()), 15)
    except (OSError, ValueError):
        return False
    pid_file.unlink(missing_ok=True)
    return True


def _free_port(first: int) -> int:
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise EnvironmentProblem(
        f"ports {first} to {first + PORTS_TRIED - 1} are all taken", where="server.port", fix="set another server.port"
    )


def ui_url(api_url: str, flow_run_id: object | None = None) -> str:
    """The UI page of a server, or of one of its flow runs."""
    base = api_url.removesuffix("/").removesuffix("/api")
    return base if flow_run_id is None else f"{base}/runs/flow-run/{flow_run_id}"
