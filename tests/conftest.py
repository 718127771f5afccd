"""What tests of several layers build on: small raw data sets in the MARS layout, and a Prefect server of their own."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests import environment

# isort: split
import cv2
import fsspec
import hypothesis
import numpy as np
import pytest
import scipy.io
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, temporary_settings

import storage.frames.stamps
from flows.settings import ServerSettings
from flows.watching.server import ensure_server, stop_server
from tests.ports import free_port

# how long an example takes says nothing on a shared machine
hypothesis.settings.register_profile("csip", deadline=None)
hypothesis.settings.load_profile("csip")

LEFT_OUT = "left out: the time for them is over"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
Row = tuple[str, int, int, Sequence[int]]
"""pid as written in names (`0001`, `0000`, `00-1`), camera, tracklet, frame numbers."""


def pytest_unconfigure() -> None:
    environment.leave()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What one worker of pytest-xdist takes: quick tests of a folder, or all that use a server; slow ones of a file.

    What they share is then made once, and one worker alone starts a server for quick tests. The slowest files come
    first, so that no worker ends long after the others.
    """
    minutes: Counter[str] = Counter()
    for item in items:
        file = item.nodeid.partition("::")[0]
        if slow := item.get_closest_marker("slow"):
            group = file
            minutes[file] += slow.kwargs.get("minutes", 1)
        else:
            group = "server" if "server" in getattr(item, "fixturenames", ()) else file.rpartition("/")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: -minutes[item.nodeid.partition("::")[0]])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a slow test out if it would not end by CSIP_TESTS_UNTIL, in seconds since 1970, where that is set."""
    slow = item.get_closest_marker("slow")
    until = float(os.environ.get("CSIP_TESTS_UNTIL", "inf"))
    if slow and time.time() + 60 * slow.kwargs.get("minutes", 1) > until:
        pytest.skip(LEFT_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if LEFT_OUT in str(report.longrepr)]
    if skipped:
        terminalreporter.section(f"{len(skipped)} slow tests {LEFT_OUT}")
        for report in skipped:
            terminalreporter.line(report.nodeid.partition("@")[0])


def write_mars(root: Path, train: Sequence[Row], test: Sequence[Row], queries: Sequence[int]) -> Path:
    """A MARS folder with a small random JPEG for every frame; `queries` are rows of `test` from 1."""
    rng = np.random.default_rng(0)
    for part, rows in (("train", train), ("test", test)):
        names: list[str] = []
        table = []
        for pid, camera, tracklet, frames in rows:
            start = len(names) + 1
            for frame in frames:
                name = f"{pid}C{camera}T{tracklet:04d}F{frame:03d}.jpg"
                path = root / f"bbox_{part}" / pid / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), rng.integers(0, 256, (32, 16, 3), dtype=np.uint8))
                names.append(name)
            table.append([start, len(names), int(pid.replace("00-1", "-1")), camera])
        (root / "info").mkdir(parents=True, exist_ok=True)
        (root / f"bbox_{part}").mkdir(exist_ok=True)
        (root / f"info/{part}_name.txt").write_text("\n".join(names) + "\n")
        scipy.io.savemat(root / f"info/tracks_{part}_info.mat", {f"track_{part}_info": np.array(table, np.int32)})
    scipy.io.savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([list(queries)], np.uint16)})
    return root


@pytest.fixture
def make_mars(tmp_path: Path) -> Callable[..., Path]:
    """Builds a MARS folder of 2 train and 2 test identities, a distractor and a junk row; rows can be replaced."""

    def make(
        train: Sequence[Row] = (
            ("0001", 1, 1, (1, 2, 3)),
            ("0001", 2, 1, (1, 2)),
            ("0002", 1, 1, (1, 2, 3, 4)),
        ),
        test: Sequence[Row] = (
            ("00-1", 1, 1, (1, 2)),
            ("0000", 1, 1, (1,)),
            ("0003", 1, 1, (1, 2, 3)),
            ("0003", 2, 1, (1, 2)),
            ("0004", 2, 1, (5, 6)),
        ),
        queries: Sequence[int] = (3, 5),
    ) -> Path:
        return write_mars(tmp_path / "raw", train, test, queries)

    return make


@pytest.fixture
def settled_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were made just now count as settled, as if the clock had ticked since."""
    monkeypatch.setattr(storage.frames.stamps, "TICK_NS", -(10**12))


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the project; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data beside the project (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    settings = ServerSettings(port=free_port(), home=tmp_path_factory.mktemp("prefect"))
    configured = os.environ.pop("PREFECT_API_URL", None)
    ensure_server(settings)
    yield settings
    stop_server(settings)
    if configured:
        os.environ["PREFECT_API_URL"] = configured


@pytest.fixture
def api(server: ServerSettings) -> Iterator[str]:
    """The server's address, which this process, threads of Prefect's and processes that it starts use."""
    url = ensure_server(server)
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: url}):
        patch.setenv("PREFECT_API_URL", url)
        refresh_global_settings_context()
        yield url
    refresh_global_settings_context()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # slow to import, and few tests need it

    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def s3_address(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket of a server of this machine; the environment names server and credentials, as users do."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    bucket = f"csip-{abs(hash(tmp_path)):x}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/store"
