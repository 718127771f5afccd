import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

import flows.watching.server
from flows.settings import ServerSettings
from flows.watching.server import ensure_server, healthy, ui_url, watched
from storage.errors import EnvironmentProblem
from tests.ports import free_port, listening


def test_a_running_local_server_is_used_and_not_started_again(server: ServerSettings) -> None:
    pid = (server.home / "server.pid").read_text()
    url = ensure_server(server)
    assert healthy(url)
    assert (server.home / "server.pid").read_text() == pid


def test_a_configured_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(EnvironmentProblem, match="does not answer") as caught:
        ensure_server(ServerSettings(home=tmp_path))
    assert url in str(caught.value)


def test_the_local_server_listens_on_this_machine_alone(server: ServerSettings) -> None:
    ensure_server(server)
    assert listening(int((server.home / "server.pid").read_text())) == {"127.0.0.1"}


def test_a_socket_that_the_network_reaches_would_be_found() -> None:
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))  # noqa: S104 - nothing is answered
        everywhere.listen()
        assert "0.0.0.0" in listening(os.getpid())  # noqa: S104


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")


def wait_until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def test_a_configured_server_that_falls_silent_is_not_waited_for_until_it_answers_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flows.watching.server, "PATIENCE", 1)
    caplog.set_level("INFO", "csip")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 3}):
        with watched(ServerSettings(home=tmp_path), url, ours=False):
            assert wait_until(lambda: PREFECT_CLIENT_MAX_RETRIES.value() == 0)
            with HTTPServer(("127.0.0.1", port), Healthy) as answering:
                threading.Thread(target=answering.serve_forever, daemon=True).start()
                assert wait_until(lambda: PREFECT_CLIENT_MAX_RETRIES.value() == 3)
                answering.shutdown()
            assert wait_until(lambda: PREFECT_CLIENT_MAX_RETRIES.value() == 0)
        assert PREFECT_CLIENT_MAX_RETRIES.value() == 3
    assert f"the Prefect server at {url} does not answer; the run goes on without it" in caplog.messages
    assert f"the Prefect server at {url} answers again" in caplog.messages
    assert not list(tmp_path.iterdir()), "nobody starts a local server in its place"


def test_the_page_of_a_flow_run() -> None:
    assert ui_url("http://127.0.0.1:4200/api") == "http://127.0.0.1:4200"
    assert ui_url("http://127.0.0.1:4200/api", "abc") == "http://127.0.0.1:4200/runs/flow-run/abc"
