import socket
from pathlib import Path

import pytest

from flows.server import ServerSettings, ensure_server, healthy, ui_url
from storage.errors import EnvironmentProblem


def test_a_running_local_server_is_used_and_not_started_again(server: ServerSettings) -> None:
    pid = (server.home / "server.pid").read_text()
    url = ensure_server(server)
    assert healthy(url)
    assert (server.home / "server.pid").read_text() == pid


def test_a_configured_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        with pytest.raises(EnvironmentProblem, match="does not answer") as caught:
            ensure_server(ServerSettings(home=tmp_path))
        assert url in str(caught.value)


def test_the_page_of_a_flow_run() -> None:
    assert ui_url("http://127.0.0.1:4200/api") == "http://127.0.0.1:4200"
    assert ui_url("http://127.0.0.1:4200/api", "abc") == "http://127.0.0.1:4200/runs/flow-run/abc"
