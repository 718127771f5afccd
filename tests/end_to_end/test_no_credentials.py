"""Credentials lie in the environment of a run, and nowhere else: every byte that it leaves is looked through."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import httpx
import pytest
import yaml

from flows.settings import ServerSettings
from flows.watching.server import stop_server
from tests.ports import free_port
from tests.small_run import small_settings

PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "pl4nted/Secret+Key/0123456789",
    "AWS_SESSION_TOKEN": "pl4nted-session-token-0123456789==",
    "PREFECT_API_KEY": "pnu_pl4ntedApiKey0123456789",
}
PROXY_PASSWORD, QUERY_PASSWORD, STORE_PASSWORD = "pl4ntedProxyPassword", "pl4nted+in/a&query", "pl4nted:in@the:store"
SECRETS = (*PLANTED.values(), PROXY_PASSWORD, QUERY_PASSWORD, STORE_PASSWORD)


def spellings(secret: str) -> set[bytes]:
    """A secret as it may stand somewhere: as it is, in URLs, JSON, and base64 at each of the three offsets."""
    raw = secret.encode()
    # of base64, only what does not depend on the bytes before and after
    coded = {base64.b64encode(b"\0" * pad + raw)[(0, 2, 3)[pad] : -4] for pad in range(3)}
    urlsafe = {text.replace(b"+", b"-").replace(b"/", b"_") for text in coded}
    plain = {raw, quote(secret).encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    return plain | coded | urlsafe | {raw.hex().encode()}


def leaks(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if any(text in content for text in spellings(secret))]


@dataclass
class Place:
    """A server, a bucket and a workspace of their own, and commands that know the planted credentials."""

    folder: Path
    endpoint: str
    address: str
    said: list[str] = field(default_factory=list)
    server: ServerSettings = field(init=False)

    def __post_init__(self) -> None:
        self.server = ServerSettings(port=free_port(), home=self.folder / "prefect")

    def run(self, *overrides: str, **environment: str) -> int:
        """`csip run`; keeps all that it says."""
        settings = small_settings(self.folder, self.address) | {
            "workspace": str(self.folder / "workspace"),
            "server": {"port": self.server.port, "home": str(self.server.home)},
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(settings))
        proxy = f"http://someone:{PROXY_PASSWORD}@127.0.0.1:9"
        given = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        command = [sys.executable, "-m", "flows.commands.app", "run", str(self.folder / "config.yaml")]
        done = subprocess.run(
            [*command, *(word for override in overrides for word in ("--set", override))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
            env=given
            | PLANTED
            | {
                "AWS_ACCESS_KEY_ID": "someone",
                "AWS_ENDPOINT_URL": self.endpoint,
                "HTTPS_PROXY": proxy,
                "HTTP_PROXY": proxy,
                "NO_PROXY": "127.0.0.1",
                "PREFECT_HOME": str(self.folder / "prefect-of-the-run"),
                "PREFECT_LOGGING_LEVEL": "DEBUG",
                "PREFECT_LOGGING_TO_API_ENABLED": "true",
                "PREFECT_LOGGING_SERVER_LEVEL": "DEBUG",
                "COLUMNS": "1000",
            }
            | environment,
        )
        self.said.append(done.stdout)
        return done.returncode

    def left(self) -> Iterator[tuple[str, bytes]]:
        """Everything that the runs left: files, the database with what is not yet merged into it, objects, the API."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield str(path), path.read_bytes()
        files = fsspec.filesystem("s3")
        for path in sorted(files.find(self.address)):
            yield path, files.cat_file(path)
        for number, text in enumerate(self.said):
            yield f"what run {number} said", text.encode()
        api = (self.server.home / "api_url").read_text()
        for kind in ("artifacts", "flow_runs", "task_runs", "logs", "events"):
            yield f"{api}/{kind}", json.dumps(read(api, kind), ensure_ascii=False).encode()


def read(api: str, kind: str) -> Any:
    answer = httpx.post(f"{api}/{kind}/filter", json={"limit": 50 if kind == "events" else 200}, trust_env=False)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture
def place(tmp_path: Path, s3_endpoint: str, s3_address: str) -> Iterator[Place]:
    place = Place(tmp_path, s3_endpoint, s3_address)
    yield place
    stop_server(place.server)


@pytest.mark.slow(minutes=3)
@pytest.mark.timeout(600)
def test_no_credential_of_the_environment_is_found_in_anything_that_runs_leave(place: Place) -> None:
    assert place.run() == 0, place.said[-1]
    assert place.run("extraction.estimator.weights=/nowhere.pth") == 1
    # a service that is not there, at an address that says how to get in
    query = quote(QUERY_PASSWORD, safe="")
    gone = f"http://someone:{PROXY_PASSWORD}@127.0.0.1:1/?password={query}"
    assert place.run("store=s3://elsewhere/store", AWS_ENDPOINT_URL=gone, AWS_MAX_ATTEMPTS="1") == 1
    # credentials in a setting are refused before anybody is told of it
    user = f"someone:{quote(STORE_PASSWORD, safe='')}"
    assert place.run(f"store=s3://{user}@bucket/store") == 1
    assert "credentials" in place.said[-1]
    assert place.run(f"data.root=s3://{user}@bucket/data") == 1
    assert "credentials" in place.said[-1]

    everything = dict(place.left())
    assert any(name.endswith(".db") for name in everything)
    assert any("report.html" in name for name in everything)
    assert any("/runs/" in name for name in everything)
    found = {name: leaks(content) for name, content in everything.items()}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


def test_a_secret_is_recognised_however_it_is_written() -> None:
    for secret in SECRETS:
        for text in (
            secret.encode(),
            b"x" + base64.b64encode(b"user:" + secret.encode() + b"@"),
            base64.urlsafe_b64encode(b"a" + secret.encode() + b"bc"),
            quote(secret, safe="").encode(),
        ):
            assert leaks(b"before " + text + b" after") == [secret]
    assert leaks(b"nothing of the kind") == []
