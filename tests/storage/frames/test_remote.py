"""A data set at an address is read as one in a folder is: same names, same bytes, same index; and each file once."""

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
import s3fs

from storage.addresses import CONNECTIONS, DataAddress, DataRoot, data_root, opened, seen_once
from storage.datasets import mars
from storage.datasets.check.check import check
from storage.errors import DataError, EnvironmentProblem, SettingsError
from storage.frames.files import DataFiles
from storage.frames.fingerprints import fingerprint, unchanged
from storage.frames.remote import FILES_A_REQUEST
from storage.index import DataSettings, scan, write_index
from storage.store.artifacts import open_store
from tests.storage.frames.test_files import zipped

Make = Callable[..., Path]
FRAME = "bbox_train/0001/0001C1T0001F002.jpg"
FRAMES = 17
pytestmark = pytest.mark.usefixtures("settled_files")


def upload(folder: Path, address: str) -> str:
    """Put a folder, or a file, at an address."""
    files, base = opened(address)
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.is_file():
            name = path.relative_to(folder).as_posix() if folder.is_dir() else ""
            files.pipe_file(f"{base}/{name}".rstrip("/"), path.read_bytes())
    return address


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place elsewhere."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_address"))
    return f"memory://{tmp_path.name}-{abs(hash(tmp_path))}"


@pytest.fixture
def remote(place: str, make_mars: Make, tmp_path: Path) -> DataAddress:
    """The data set of `make_mars`, elsewhere."""
    return DataAddress(upload(make_mars(), f"{place}/MARS"), tmp_path / "fetched")


@pytest.fixture
def s3_remote(s3_address: str, make_mars: Make, tmp_path: Path) -> DataAddress:
    return DataAddress(upload(make_mars(), f"{s3_address}/MARS"), tmp_path / "fetched")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often S3 was asked for what."""
    asked: Counter[str] = Counter()
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: s3fs.S3FileSystem, method: str, *args: object, **kwargs: object) -> object:
        asked[method] += 1
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return asked


def index_files(root: DataRoot, folder: Path) -> dict[str, bytes]:
    """What the index of a data set holds, byte for byte."""
    where = {"root": str(root), "cache": folder / "fetched"}
    settings = DataSettings(**where, train_shards=2, test_shards=1)
    folder.mkdir()
    write_index(scan(settings, folder / "stamps"), settings, folder)
    return {path.name: path.read_bytes() for path in folder.glob("t*.parquet")}


@pytest.mark.parametrize("form", ["folder", "one zip", "one zip with a folder in it", "a zip a folder", "mixed"])
def test_the_index_is_the_same_byte_for_byte(place: str, form: str, make_mars: Make, tmp_path: Path) -> None:
    raw = make_mars()
    expected = index_files(raw, tmp_path / "here")
    if form.startswith("one zip"):
        packed = zipped(raw, tmp_path / "MARS.zip", "MARS/" if "folder" in form else "")
        root = data_root(upload(packed, f"{place}/MARS.zip"))
    else:
        for part in {"folder": (), "mixed": ("bbox_test",)}.get(form, ("bbox_train", "bbox_test", "info")):
            zipped(raw / part, raw / f"{part}.zip", f"{part}/")
            shutil.rmtree(raw / part)
        root = data_root(upload(raw, f"{place}/MARS"))
    assert len(expected) == 12
    assert index_files(root, tmp_path / "elsewhere") == expected


def test_names_are_those_of_a_folder(remote: DataAddress, tmp_path: Path) -> None:
    here, there = DataFiles(tmp_path / "raw"), DataFiles(remote)
    assert there.names() == here.names()
    for folder in ("bbox_train", "bbox_train/0001", "bbox_train/000", "info", "nowhere"):
        assert there.names(folder) == here.names(folder), folder
    for name in ("bbox_train", FRAME, "bbox_train/0001", "bbox_train/9", "info/x", "nowhere", f"{FRAME}/x"):
        assert there.exists(name) == here.exists(name), name
    assert [there.read(name) for name in there.names()] == [here.read(name) for name in here.names()]
    assert there.there()


def test_an_unchanged_data_set_is_listed_and_no_frame_read(
    s3_remote: DataAddress, tmp_path: Path, requests: Counter[str]
) -> None:
    files = DataFiles(s3_remote)
    first = fingerprint(files, mars.read(files), tmp_path / "stamps")
    assert requests["get_object"] == FRAMES + len(mars.LISTS), "each file is fetched once"
    requests.clear()
    shutil.rmtree(tmp_path / "fetched")
    files = DataFiles(s3_remote)
    assert unchanged(files, tmp_path / "stamps", first.cache_digest)
    again = fingerprint(files, first.tracklets, tmp_path / "stamps")
    assert (again.tracklets, again.cache_digest) == (first.tracklets, first.cache_digest)
    # the root and the folders of people, each listed once
    assert set(requests) == {"list_objects_v2"}
    assert requests["list_objects_v2"] == 1 + len({Path(f).parent for t in first.tracklets for f in t.frames})


def test_each_file_is_fetched_once_a_machine(s3_remote: DataAddress, tmp_path: Path, requests: Counter[str]) -> None:
    frames = [name for name in DataFiles(s3_remote).names() if name.endswith(".jpg")]
    together = threading.Barrier(4)

    def worker(_: int) -> list[bytes]:
        files = DataFiles(s3_remote)
        together.wait()
        files.fetch(frames)
        return [files.read(name) for name in frames]

    with ThreadPoolExecutor(4) as pool:
        one, *others = pool.map(worker, range(4))
    assert all(other == one for other in others)
    assert requests["get_object"] == len(frames)
    assert not requests["head_object"]
    assert {path.suffix for path in (tmp_path / "fetched").rglob("*") if path.is_file()} == {""}, "nothing is left over"


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_object_is_noticed_and_not_served_from_the_cache(
    remote: DataAddress, tmp_path: Path, same_size: bool
) -> None:
    files = DataFiles(remote)
    first = fingerprint(files, mars.read(files), tmp_path / "stamps")
    content = files.read(FRAME)
    changed = bytes(reversed(content)) if same_size else content + b"\0"
    service, base = opened(remote.address)
    service.pipe_file(f"{base}/{FRAME}", changed)
    files = DataFiles(remote)
    assert not unchanged(files, tmp_path / "stamps", first.cache_digest)
    assert files.read(FRAME) == changed
    again = fingerprint(files, first.tracklets, tmp_path / "stamps")
    differing = {a.tracklet_id for a, b in zip(again.tracklets, first.tracklets, strict=True) if a != b}
    assert differing == {"0001C1T0001"}


@pytest.mark.parametrize("damage", ["deleted", "cut", "unwritable"])
def test_a_cache_that_is_gone_or_damaged_costs_only_fetching(remote: DataAddress, tmp_path: Path, damage: str) -> None:
    files = DataFiles(remote)
    names = files.names()
    files.fetch(names)
    before = [files.read(name) for name in names]
    if damage == "cut":
        for path in (tmp_path / "fetched").rglob("*"):
            if path.is_file():
                os.truncate(path, path.stat().st_size // 2)
    else:
        shutil.rmtree(tmp_path / "fetched")
        if damage == "unwritable":
            (tmp_path / "fetched").write_text("a file in the folder's place")
    assert [files.read(name) for name in names] == before
    assert [DataFiles(remote).read(name) for name in names] == before


def test_a_missing_frame_is_missing_as_in_a_folder(remote: DataAddress, tmp_path: Path) -> None:
    service, base = opened(remote.address)
    service.rm_file(f"{base}/{FRAME}")
    files = DataFiles(remote)
    found = fingerprint(files, mars.read(files), tmp_path / "stamps")
    assert found.missing == (FRAME,)
    with pytest.raises(FileNotFoundError):
        files.read(FRAME)


def test_empty_files_and_the_marks_of_folders(place: str, tmp_path: Path) -> None:
    service, base = opened(place)
    service.pipe_file(f"{base}/d/empty.jpg", b"")
    service.pipe_file(f"{base}/d/full.jpg", b"full")
    if place.startswith("s3"):
        service.pipe_file(f"{base}/d/", b"")  # as consoles make folders
    files = DataFiles(DataAddress(place, tmp_path / "fetched"))
    assert files.names() == ["d/empty.jpg", "d/full.jpg"]
    files.fetch(files.names())
    assert (files.read("d/empty.jpg"), files.read("d/full.jpg")) == (b"", b"full")


def test_what_is_needed_next_is_fetched_meanwhile(s3_remote: DataAddress, requests: Counter[str]) -> None:
    files = DataFiles(s3_remote)
    tracklets = mars.read(files)
    requests.clear()
    for number, tracklet in enumerate(files.ahead(tracklets, lambda tracklet: tracklet.frames)):
        if number == 0:
            # enough of the next are on their way, or here, before the first is used up
            assert requests["get_object"] >= len(tracklet.frames)
        before = requests["get_object"]
        assert all(files.read(name) for name in tracklet.frames)
        if number == len(tracklets) - 1:
            assert requests["get_object"] == before
    assert requests["get_object"] == FRAMES
    assert [t.tracklet_id for t in files.ahead(tracklets, lambda t: t.frames)] == [t.tracklet_id for t in tracklets]


def test_a_fetch_tells_how_far_it_is(place: str, tmp_path: Path) -> None:
    service, base = opened(place)
    names = [f"d/{number:03d}" for number in range(2 * FILES_A_REQUEST + 5)]
    for name in names:
        service.pipe_file(f"{base}/{name}", name.encode())
    told: list[tuple[int, int]] = []
    files = DataFiles(DataAddress(place, tmp_path / "fetched"))
    files.fetch([*names, "", names[0], "d/not-there"], lambda done, total, message="": told.append((done, total)))
    assert told == [(FILES_A_REQUEST, len(names)), (2 * FILES_A_REQUEST, len(names)), (len(names), len(names))]
    told.clear()
    files.fetch(names, lambda done, total, message="": told.append((done, total)))
    assert told == []


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "bbox_train/../../secret.jpg", "/etc/passwd", "bbox_train\\x", "a\0b"]
)
def test_no_name_leaves_the_data_root(remote: DataAddress, name: str) -> None:
    service, base = opened(remote.address)
    service.pipe_file(f"{base.rpartition('/')[0]}/secret.jpg", b"secret")
    files = DataFiles(remote)
    with pytest.raises(DataError, match="outside the data root"):
        files.read(name)
    assert not files.exists(name)
    assert not files.names("..")


def test_what_is_not_there_is_said_plainly(s3_address: str, tmp_path: Path) -> None:
    for address in (f"{s3_address}/nothing", "s3://no-such-bucket-at-all/MARS", f"{s3_address}/MARS.zip"):
        with pytest.raises(DataError, match="the data set is not there") as error:
            scan(DataSettings(root=address, cache=tmp_path / "fetched"), tmp_path / "stamps")
        assert error.value.where == address


def test_a_service_that_is_gone_is_said_plainly(
    remote: DataAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DataFiles(remote)
    tracklets = mars.read(files)

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("the line is dead")

    for name in ("ls", "cat_ranges", "info"):
        monkeypatch.setattr(files.loose.listing.files, name, gone)
    for broken in (
        lambda: DataFiles(remote),
        lambda: files.read(FRAME),
        lambda: files.fetch(tracklets[0].frames),
        lambda: list(files.ahead(tracklets, lambda tracklet: tracklet.frames)),
    ):
        with pytest.raises(DataError, match="the data set cannot be read: ConnectionError: the line is dead") as error:
            broken()
        assert error.value.where == remote.address
        assert "credentials" in str(error.value)


def test_a_protocol_that_nobody_speaks(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be used"):
        scan(DataSettings(root="gopher://hole/MARS"), tmp_path / "stamps")


@pytest.mark.parametrize(
    "address",
    [
        "s3://someone:hunter2@bucket/MARS",
        "sftp://someone:hunter2@host/MARS",
        "https://host/MARS.zip?X-Amz-Signature=hunter2",
        "https://host/MARS.zip?sv=1&sig=hunter2",
        "simplecache::s3://someone:hunter2@bucket/MARS",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str, tmp_path: Path) -> None:
    for used in (
        lambda: DataSettings(root=address),
        lambda: data_root(address),
        lambda: opened(address),
        lambda: open_store(address, tmp_path),
    ):
        with pytest.raises(SettingsError, match="must not hold credentials") as error:
            used()
        assert "hunter2" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_addresses_without_credentials_are_fine() -> None:
    for address in ("s3://bucket/MARS", "sftp://me@host/data", "gs://bucket/a?versionId=7", "memory://a"):
        assert DataSettings(root=address).root == address


def test_a_path_is_a_path(tmp_path: Path) -> None:
    assert DataSettings(root=str(tmp_path)).place == tmp_path
    assert DataSettings(root="data").place == Path("data")


def test_the_demo_is_made_in_a_folder() -> None:
    with pytest.raises(ValueError, match="make it in a folder, copy that there"):
        DataSettings(root="s3://bucket/demo", demo={})


def test_the_cache_is_the_reading_machines_own(
    remote: DataAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    DataFiles(DataAddress(remote.address, Path("~/frames"))).read(FRAME)
    assert list((tmp_path / "home/frames").iterdir())


def test_settings_of_a_users_own_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened("s3://bucket")[0].config_kwargs == {"max_pool_connections": CONNECTIONS}
    own = {"max_pool_connections": 3, "s3": {"addressing_style": "path"}}
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": own})
    assert opened("s3://bucket")[0].config_kwargs == own
    assert opened("simplecache::s3://bucket")[0].fs.config_kwargs == own


def test_readers_of_one_walk_share_a_listing_and_those_of_the_next_make_their_own(
    s3_remote: DataAddress, requests: Counter[str]
) -> None:
    walk = seen_once(s3_remote)
    for number in range(3):
        files = DataFiles(walk)
        files.fetch(name for tracklet in mars.read(files) for name in tracklet.frames)
        listed = requests.pop("list_objects_v2", 0)
        assert listed == (7 if number == 0 else 0), "the root, info, and five people"
    service, base = opened(s3_remote.address)
    service.pipe_file(f"{base}/{FRAME}", b"changed")
    assert DataFiles(seen_once(s3_remote)).read(FRAME) == b"changed"


def test_an_archive_that_finds_no_place_here_is_said_plainly(place: str, make_mars: Make, tmp_path: Path) -> None:
    address = upload(zipped(make_mars(), tmp_path / "MARS.zip"), f"{place}/MARS.zip")
    (tmp_path / "fetched").write_text("a file in the folder's place")
    with pytest.raises(DataError, match="cannot be brought to this machine") as error:
        DataFiles(DataAddress(address, tmp_path / "fetched")).names()
    assert error.value.where == address
    assert f"room in {tmp_path / 'fetched'}" in str(error.value)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_skeletons_that_a_user_has_may_lie_there_too(place: str, form: str, make_mars: Make, tmp_path: Path) -> None:
    raw = make_mars()
    for frame in (raw / "bbox_train").rglob("*.jpg"):
        own = raw / "skeleton_3d" / frame.relative_to(raw).with_suffix(".json")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f'{{"keypoints": [], "of": "{frame.name}"}}')
    whole = zipped(raw, tmp_path / "MARS.zip") if form == "zip" else raw
    roots = (str(raw), upload(whole, f"{place}/MARS.zip" if form == "zip" else f"{place}/MARS"))
    settings = [DataSettings(root=root, skeletons="skeleton_3d", cache=tmp_path / "fetched") for root in roots]
    here, there = (scan(each, tmp_path / f"{number}") for number, each in enumerate(settings))
    assert here.skeletons is not None
    assert sum(bool(name) for t in here.skeletons.tracklets for name in t.frames) == 9
    assert there.skeletons == here.skeletons


@pytest.mark.parametrize("decode", [False, True])
def test_a_check_finds_what_it_finds_in_a_folder(
    s3_remote: DataAddress, tmp_path: Path, requests: Counter[str], decode: bool
) -> None:
    service, base = opened(s3_remote.address)
    service.rm_file(f"{base}/{FRAME}")
    service.pipe_file(f"{base}/bbox_train/0002/stray.jpg", b"no image")
    (tmp_path / "raw" / FRAME).unlink()
    (tmp_path / "raw/bbox_train/0002/stray.jpg").write_bytes(b"no image")
    requests.clear()
    there = check(s3_remote, "mars", decode=decode).as_json()
    assert there == check(tmp_path / "raw", "mars", decode=decode).as_json()
    assert {finding["kind"] for finding in there["findings"]} >= {"missing", "extra"}
    assert requests["get_object"] == len(mars.LISTS) + FRAMES - 1
