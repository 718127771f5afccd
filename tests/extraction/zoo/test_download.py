import hashlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from extraction.zoo.download import WAITING, fetch
from storage.errors import WeightsError
from tests.serving import serving

OLD, NEW = bytes(range(256)) * 1000, bytes(reversed(range(256))) * 1000
HALF = 100_000
DATE = "Thu, 04 May 2023 08:00:00 GMT"


class Zoo(ThreadingHTTPServer):
    """A server of one file, that can be told to misbehave; notes the Range and If-Range of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeper)
        self.address = f"http://127.0.0.1:{self.server_port}/m.pth"
        self.data = OLD
        self.headers: dict[str, str] = {"ETag": '"old"'}
        self.says_length = True
        self.knows_ranges = True
        self.heeds_if_range = True
        self.cut_after: int | None = None  # bytes of one answer, after which its connection breaks
        self.refuse_with: int | None = None
        self.gate = threading.Event()  # no answer before it is open
        self.gate.set()
        self.asked: list[tuple[str | None, str | None]] = []


class Keeper(BaseHTTPRequestHandler):
    server: Zoo

    def do_GET(self) -> None:
        zoo = self.server
        wanted, condition = self.headers["Range"], self.headers["If-Range"]
        zoo.asked.append((wanted, condition))
        zoo.gate.wait(10)
        same = condition in zoo.headers.values() or not zoo.heeds_if_range
        if zoo.refuse_with:
            self.reply(zoo.refuse_with, {}, b"")
        elif wanted and same and zoo.knows_ranges:
            start, total = int(wanted.removeprefix("bytes=").removesuffix("-")), len(zoo.data)
            if start >= total:
                self.reply(416, {"Content-Range": f"bytes */{total}"}, b"")
            else:
                self.reply(206, {"Content-Range": f"bytes {start}-{total - 1}/{total}"} | zoo.headers, zoo.data[start:])
        else:
            self.reply(200, zoo.headers, zoo.data)

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with serving(Zoo()) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "m.pth"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def interrupt(zoo: Zoo, target: Path, after: int = HALF) -> None:
    """Fetch, and lose the connection after so many bytes."""
    zoo.cut_after = after
    with pytest.raises(WeightsError):
        fetch(zoo.address, target, digest(zoo.data))
    zoo.cut_after = None
    zoo.asked.clear()


def test_a_file_is_brought_whole_and_nothing_else_is_left_beside_it(zoo, target):
    assert fetch(zoo.address, target, digest(OLD)) == target
    assert target.read_bytes() == OLD
    assert names(target) == ["m.pth"]


def test_a_connection_that_breaks_is_an_error_that_says_how_far_it_came_and_what_to_do(zoo, target):
    zoo.cut_after = HALF
    with pytest.raises(WeightsError, match="ended after 100,000 of 256,000 bytes") as caught:
        fetch(zoo.address, target, digest(OLD))
    assert caught.value.where == zoo.address
    assert "run again" in caught.value.fix
    assert f"put it at {target}" in caught.value.fix


def test_what_came_before_is_kept_with_what_the_server_said_of_it(zoo, target):
    zoo.headers |= {"Last-Modified": DATE}
    interrupt(zoo, target)
    assert names(target) == ["m.pth.part", "m.pth.part.json"]
    assert (target.parent / "m.pth.part").read_bytes() == OLD[:HALF]
    assert json.loads((target.parent / "m.pth.part.json").read_text()) == {
        "address": zoo.address,
        "etag": '"old"',
        "last_modified": DATE,
        "length": len(OLD),
    }


def test_the_next_attempt_asks_only_for_the_rest(zoo, target):
    interrupt(zoo, target)
    fetch(zoo.address, target, digest(OLD))
    assert zoo.asked == [(f"bytes={HALF}-", '"old"')]
    assert target.read_bytes() == OLD
    assert names(target) == ["m.pth"]


def test_a_download_can_be_interrupted_again_and_again(zoo, target):
    for _ in range(2):
        interrupt(zoo, target)
    fetch(zoo.address, target, digest(OLD))
    assert zoo.asked == [(f"bytes={2 * HALF}-", '"old"')]
    assert target.read_bytes() == OLD


@pytest.mark.parametrize("headers", [{"Last-Modified": DATE}, {"ETag": 'W/"weak"', "Last-Modified": DATE}])
def test_without_a_strong_etag_the_date_tells_whether_the_file_is_the_same(zoo, target, headers):
    zoo.headers = headers
    interrupt(zoo, target)
    fetch(zoo.address, target, digest(OLD))
    assert zoo.asked == [(f"bytes={HALF}-", DATE)]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_where_nothing_tells_whether_the_file_is_the_same_it_is_fetched_anew(zoo, target, headers):
    zoo.headers = headers
    interrupt(zoo, target)
    fetch(zoo.address, target, digest(OLD))
    assert zoo.asked == [(None, None)]
    assert target.read_bytes() == OLD


def test_a_server_without_ranges_sends_all_anew(zoo, target):
    zoo.knows_ranges = False
    interrupt(zoo, target)
    fetch(zoo.address, target, digest(OLD))
    assert target.read_bytes() == OLD


@pytest.mark.parametrize("heeds", [True, False], ids=["the server sees it", "we see it"])
def test_a_file_that_changed_meanwhile_is_never_spliced(zoo, target, heeds):
    interrupt(zoo, target)
    zoo.data, zoo.headers, zoo.heeds_if_range = NEW, {"ETag": '"new"'}, heeds
    fetch(zoo.address, target, digest(NEW))
    assert target.read_bytes() == NEW


def test_a_file_of_another_length_is_never_spliced(zoo, target):
    interrupt(zoo, target)
    zoo.data = NEW + b"more"
    fetch(zoo.address, target, digest(zoo.data))
    assert zoo.asked == [(f"bytes={HALF}-", '"old"'), (None, None)]
    assert target.read_bytes() == zoo.data


def test_a_part_of_another_address_is_not_continued(zoo, target):
    interrupt(zoo, target)
    fetch(f"{zoo.address}?version=2", target, digest(OLD))
    assert zoo.asked == [(None, None)]


def test_a_part_whose_note_is_damaged_is_not_continued(zoo, target):
    interrupt(zoo, target)
    (target.parent / "m.pth.part.json").write_text('{"etag": ')
    fetch(zoo.address, target, digest(OLD))
    assert zoo.asked == [(None, None)]
    assert target.read_bytes() == OLD


def test_a_part_that_is_whole_already_is_taken_by_its_digest(zoo, target):
    interrupt(zoo, target)
    (target.parent / "m.pth.part").write_bytes(OLD)
    fetch(zoo.address, target, digest(OLD))
    assert len(zoo.asked) == 1
    assert target.read_bytes() == OLD


@pytest.mark.parametrize("part", [NEW, OLD + b"more"])
def test_a_part_as_long_as_the_file_with_other_bytes_is_fetched_anew(zoo, target, part):
    interrupt(zoo, target)
    (target.parent / "m.pth.part").write_bytes(part)
    fetch(zoo.address, target, digest(OLD))
    assert zoo.asked == [(f"bytes={len(part)}-", '"old"'), (None, None)]
    assert target.read_bytes() == OLD


def test_a_wrong_digest_is_an_error_that_leaves_nothing(zoo, target):
    with pytest.raises(WeightsError, match=f"weights have sha256 {digest(OLD)}, expected {digest(NEW)}"):
        fetch(zoo.address, target, digest(NEW))
    assert names(target) == []


def test_a_file_whose_length_is_not_told_is_read_to_its_end(zoo, target):
    zoo.says_length = False
    told: list[tuple[int, int, str]] = []
    fetch(zoo.address, target, digest(OLD), lambda done, total, message="": told.append((done, total, message)))
    assert target.read_bytes() == OLD
    assert told[-1] == (len(OLD), 0, "0.3 MB")


def test_progress_goes_from_what_is_there_to_the_whole_length(zoo, target):
    interrupt(zoo, target)
    told: list[tuple[int, int, str]] = []
    fetch(zoo.address, target, digest(OLD), lambda done, total, message="": told.append((done, total, message)))
    assert told[0] == (HALF, len(OLD), "0.1 of 0.3 MB")
    assert told[-1] == (len(OLD), len(OLD), "0.3 of 0.3 MB")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_of_two_who_want_the_same_file_one_fetches_and_the_other_finds_it(zoo, target):
    zoo.gate.clear()

    def progress(done: int, total: int, message: str = "") -> None:
        if message == WAITING:
            zoo.gate.set()  # the server answers only once the second waits

    with ThreadPoolExecutor() as pool:
        both = [pool.submit(fetch, zoo.address, target, digest(OLD), progress) for _ in range(2)]
        assert [one.result(20) for one in both] == [target, target]
    assert len(zoo.asked) == 1
    assert names(target) == ["m.pth"]


def test_when_the_one_who_fetches_fails_the_one_who_waits_goes_on_from_there(zoo, target):
    zoo.gate.clear()
    zoo.cut_after = HALF * 2

    def progress(done: int, total: int, message: str = "") -> None:
        if message == WAITING:
            zoo.gate.set()

    with ThreadPoolExecutor() as pool:
        both = [pool.submit(fetch, zoo.address, target, digest(OLD), progress) for _ in range(2)]
        assert sorted(type(one.exception(20)).__name__ for one in both) == ["NoneType", "WeightsError"]
    assert zoo.asked == [(None, None), (f"bytes={2 * HALF}-", '"old"')]
    assert target.read_bytes() == OLD


def test_a_lock_left_by_a_killed_process_does_not_stop_the_next_one(zoo, target):
    target.parent.mkdir()
    (target.parent / "m.pth.lock").touch()
    fetch(zoo.address, target, digest(OLD))
    assert names(target) == ["m.pth"]


@pytest.mark.parametrize("status", [404, 416, 204])
def test_a_server_that_refuses_is_reported_with_its_answer(zoo, target, status):
    zoo.refuse_with = status
    with pytest.raises(WeightsError, match=f"cannot be fetched: .*{status}"):
        fetch(zoo.address, target, digest(OLD))
    assert names(target) == []


def test_a_server_that_cannot_be_reached_is_reported_with_what_to_do(target):
    address = "http://127.0.0.1:9/m.pth"
    with pytest.raises(WeightsError, match="cannot be fetched") as caught:
        fetch(address, target, digest(OLD))
    assert f"download {address} on a machine with network and put it at {target}" in caught.value.fix


def test_a_folder_that_cannot_be_written_is_reported(zoo, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch(zoo.address, tmp_path / "cache" / "m.pth", digest(OLD))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/m.pth", "ftp://127.0.0.1:9/m.pth", "file:///etc/passwd"])
@pytest.mark.parametrize("known", ["", digest(OLD)[:8]])
def test_neither_plain_http_without_a_whole_sha256_nor_another_scheme_is_fetched(target, address, known):
    with pytest.raises(WeightsError, match="over https, or over http with a sha256"):
        fetch(address, target, known)
    assert not target.parent.exists()


def test_an_https_address_that_leads_to_plain_http_is_refused(zoo, target, monkeypatch):
    real = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", lambda request, timeout: real(zoo.address, timeout=timeout))
    with pytest.raises(WeightsError, match="over https, or over http with a sha256") as caught:
        fetch("https://download.example.org/m.pth", target, digest(OLD)[:8])
    assert caught.value.where == zoo.address
    assert names(target) == []
