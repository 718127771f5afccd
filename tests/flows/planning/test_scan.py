import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.io

import flows.planning.scan
import storage.frames.fingerprints
import storage.frames.stamps
from flows.config import Config, make_config
from flows.planning.plan import plan
from flows.planning.scan import current_index, kept_index, last_index, trial_index
from storage.datasets import ilidsvid
from storage.errors import DataError
from storage.progress import silent
from storage.store.artifacts import Artifact, Store
from tests.storage.datasets.trees import LAYOUTS, write_tree

Make = Callable[..., Path]
FRAME = "bbox_train/0001/0001C1T0001F002.jpg"
pytestmark = pytest.mark.usefixtures("settled_files")


@pytest.fixture
def config(make_mars: Make, tmp_path: Path) -> Config:
    data = {"root": str(make_mars()), "train_shards": 2, "test_shards": 1, "max_missing_fraction": 1}
    values = {"name": "small", "store": str(tmp_path / "store"), "data": data, "encoder": {"model": "small"}}
    return make_config(values)


@pytest.fixture
def store(config: Config) -> Store:
    """A store with the current index."""
    store = Store(Path(config.store))
    current_index(store, config, silent)
    return store


def makes_another(store: Store, config: Config) -> bool:
    """Whether a run finds that another index is needed than those that are there."""
    before = store.names("index")
    return ("index", current_index(store, config, silent)["key"]) not in before


def kept(store: Store, config: Config) -> Artifact | None:
    return kept_index(store, config, silent)


def changed(config: Config, **settings: object) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update=settings)})


def forbidden(*_: object) -> None:
    raise AssertionError("the long way was gone")


def test_unchanged_data_is_neither_parsed_nor_read(
    store: Store, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.planning.scan, "scan", forbidden)
    monkeypatch.setattr(storage.frames.fingerprints, "_digest", forbidden)
    assert not makes_another(store, config)
    assert plan(config)[0].verdict == "kept"


@pytest.mark.parametrize("name", ["train_name.txt", "test_name.txt"])
def test_a_changed_list_goes_the_long_way(store: Store, config: Config, name: str) -> None:
    path = config.data.root / "info" / name
    path.write_text(path.read_text() + "\n")
    assert kept(store, config) is None


@pytest.mark.parametrize("name", ["tracks_train_info", "tracks_test_info", "query_IDX"])
def test_a_changed_table_goes_the_long_way(store: Store, config: Config, name: str) -> None:
    path = config.data.root / "info" / f"{name}.mat"
    contents = {n: v for n, v in scipy.io.loadmat(path).items() if not n.startswith("__")}
    scipy.io.savemat(path, {**contents, "more": 1})
    assert kept(store, config) is None


def test_a_list_that_comes_back_is_known_again(store: Store, config: Config) -> None:
    path = config.data.root / "info/query_IDX.mat"
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(DataError):
        current_index(store, config, silent)
    path.write_bytes(content)
    assert kept(store, config) is not None


@pytest.mark.parametrize("settings", [{"train_shards": 3}, {"max_missing_fraction": 0.5}, {"skeletons": "skeletons"}])
def test_other_settings_go_the_long_way(store: Store, config: Config, settings: dict[str, object]) -> None:
    assert kept(store, changed(config, **settings)) is None


@pytest.mark.parametrize(
    ("layout", "list_name", "frame", "new_frame"),
    [
        ("lsvid", "list_sequence/list_seq_test.txt", "tracklet_test/0002/0002_1_03_9.jpg", "0002_1_03_77.jpg"),
        ("ilidsvid", ilidsvid.SPLITS, "i-LIDS-VID/sequences/cam1/person001/cam1_person001_00010.png", ""),
        ("prid2011", "splits_prid2011.json", "multi_shot/cam_a/person_0003/0009.png", "0099.png"),
        ("ccvid", "query.txt", "session1/003_01/00003.jpg", "00099.jpg"),
        ("folder", "", "query/p3/cam1/walk/9.jpg", "99.jpg"),
        ("manifest", "manifest.csv", "x/1.jpg", ""),
    ],
)
def test_each_layout_is_kept_until_a_list_or_a_folder_changes(
    config: Config, tmp_path: Path, layout: str, list_name: str, frame: str, new_frame: str
) -> None:
    root = write_tree(LAYOUTS[layout](), tmp_path / layout)
    own = changed(config, layout=layout, root=root)
    store = Store(Path(own.store))
    current_index(store, own, silent)
    assert kept(store, own) is not None
    if new_frame:
        added = (root / frame).with_name(new_frame)
        added.write_bytes(b"a frame")
        assert kept(store, own) is None
        added.unlink()
        assert kept(store, own) is not None
    if list_name:
        there = (root / list_name).exists()
        with (root / list_name).open("ab") as file:
            file.write(b"\n")
        assert kept(store, own) is None, "a list is new, or has changed"
        if not there:
            (root / list_name).unlink()
            assert kept(store, own) is not None
    (root / frame).write_bytes(b"other")
    assert kept(store, own) is None


def test_another_split_is_another_index(config: Config, tmp_path: Path) -> None:
    own = changed(config, layout="ilidsvid", root=write_tree(LAYOUTS["ilidsvid"](), tmp_path / "data"))
    store = Store(Path(own.store))
    keys = {current_index(store, changed(own, split=split), silent)["key"] for split in (0, 1, 1)}
    assert len(keys) == 2


def test_settings_that_change_no_index_do_not(store: Store, config: Config) -> None:
    assert kept(store, changed(config, scan_workers=1)) is not None


def test_other_code_goes_the_long_way(store: Store, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.planning.scan, "code_digests", lambda _: {"storage.index": "another"})
    assert kept(store, config) is None


@pytest.mark.parametrize(
    "change", [Path.touch, Path.unlink, lambda path: path.write_bytes(path.read_bytes())], ids=["touch", "gone", "new"]
)
@pytest.mark.parametrize("frame", [FRAME, "bbox_test/0000/0000C1T0001F001.jpg"])
def test_any_new_stamp_goes_the_long_way(
    store: Store, config: Config, change: Callable[[Path], None], frame: str
) -> None:
    change(config.data.root / frame)
    assert kept(store, config) is None


def test_a_touched_frame_ends_at_the_same_index(store: Store, config: Config) -> None:
    (config.data.root / FRAME).touch()
    assert not makes_another(store, config)
    assert kept(store, config) is not None, "and is remembered with its new stamp"


def test_another_data_root_under_the_same_name_goes_the_long_way(store: Store, config: Config, tmp_path: Path) -> None:
    copy = shutil.copytree(config.data.root, tmp_path / "copy")
    assert kept(store, changed(config, root=copy)) is None
    moved = config.data.root.rename(tmp_path / "moved")
    assert kept(store, changed(config, root=moved)) is not None, "one that was only moved does not"


def test_a_lost_index_is_made_again(store: Store, config: Config) -> None:
    index = kept(store, config)
    assert index is not None
    shutil.rmtree(index.path)
    assert kept(store, config) is None
    assert current_index(store, config, silent) == {"stage": "index", "key": index.key}
    assert store.find("index", index.key) == index


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"origin": null, "stamps": "", "key": ""}', "\udcff"])
def test_a_damaged_memory_goes_the_long_way(store: Store, config: Config, content: str) -> None:
    memory = store.root / "cache/index-small.json"
    memory.write_bytes(content.encode(errors="surrogateescape"))
    assert kept(store, config) is None
    assert not makes_another(store, config)
    assert kept(store, config) is not None


def test_a_cache_of_another_scan_goes_the_long_way(store: Store, config: Config) -> None:
    """As where a run was killed between writing the one and the other."""
    memory = (store.root / "cache/index-small.json").read_text()
    (config.data.root / FRAME).write_bytes(b"other")
    current_index(store, config, silent)
    (store.root / "cache/index-small.json").write_text(memory)
    assert kept(store, config) is None


def test_lists_that_change_while_they_are_read_are_not_remembered(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = flows.planning.scan.scan

    def meddled(*arguments: object) -> object:
        path = config.data.root / "info/train_name.txt"
        path.write_text(path.read_text() + "\n")
        return scan(*arguments)

    monkeypatch.setattr(flows.planning.scan, "scan", meddled)
    store = Store(Path(config.store))
    current_index(store, config, silent)
    assert not (store.root / "cache/index-small.json").exists()


def test_two_scans_at_once_leave_a_whole_cache(config: Config) -> None:
    store = Store(Path(config.store))
    made = []
    threads = [threading.Thread(target=lambda: made.append(current_index(store, config, silent))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({index["key"] for index in made}) == 1
    left = [path.name for path in (store.root / "cache").iterdir() if path.is_file()]
    assert sorted(left) == ["fingerprints-small.parquet", "index-small.json"]
    assert kept(store, config) is not None


def test_a_plan_remembers_only_an_index_that_the_store_holds(config: Config, tmp_path: Path) -> None:
    store = Store(Path(config.store))
    trial_index(store, config, tmp_path / "trial", silent)
    assert last_index(store, config) is None
    current_index(store, config, silent)
    (store.root / "cache/index-small.json").unlink()
    trial_index(store, config, tmp_path / "trial", silent)
    assert kept(store, config) is not None


def test_the_last_index_is_that_of_the_configuration(store: Store, config: Config, make_mars: Make) -> None:
    mine = json.loads((store.root / "cache/index-small.json").read_text())["key"]
    other = changed(config, train_shards=5).model_copy(update={"name": "other"})
    current_index(store, other, silent)
    assert last_index(store, config).key == mine
    assert last_index(store, other).key != mine


def test_the_plan_names_the_first_changed_files_of_the_index_and_of_each_shard(store: Store, config: Config) -> None:
    for name in (FRAME, "bbox_train/0001/0001C1T0001F003.jpg", "bbox_test/0000/0000C1T0001F001.jpg"):
        (config.data.root / name).write_bytes(b"other")
    lines = {line.label: line for line in plan(config)}
    assert lines["index"].verdict == "will run"
    assert lines["index"].reason == "bbox_test/0000/0000C1T0001F001.jpg changed, and 2 more frames"
    assert lines["skeletons test-000"].reason == "never made"
