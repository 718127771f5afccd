import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from extraction.zoo.weights import (
    Found,
    PoseModelSettings,
    config_files,
    expected_digest,
    find_config,
    locate,
    look,
    place,
)
from storage.errors import WeightsError
from tests.serving import serving

CONFIG = "body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-256x192.py"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder served on this machine: (folder, address)."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    with serving(httpd):
        yield folder, f"http://127.0.0.1:{httpd.server_port}"


def weights(path, sha256=None):
    return PoseModelSettings(config=CONFIG, weights=str(path), sha256=sha256)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_config_is_found_by_its_name_among_those_shipped_with_mmpose():
    path = find_config(CONFIG)
    assert path.is_file()
    assert find_config(f"configs/{CONFIG}") == path
    assert find_config(str(path)) == path


def test_a_misspelt_config_names_the_nearest_one():
    with pytest.raises(WeightsError, match="did you mean body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-2"):
        find_config("rtmpose-m_8xb256-420e_body8-256x19.py")


def test_what_a_config_inherits_belongs_to_it(tmp_path):
    (tmp_path / "a.py").write_text("_base_ = ['b.py']\nx = 1\n")
    (tmp_path / "b.py").write_text("_base_ = 'c.py'\n")
    (tmp_path / "c.py").write_text("y = 1\n")
    assert [path.name for path in config_files(tmp_path / "a.py")] == ["a.py", "b.py", "c.py"]
    assert [path.name for path in config_files(find_config(CONFIG))][1:] == ["default_runtime.py"]


def test_a_project_file_cannot_climb_out_of_the_project():
    with pytest.raises(WeightsError, match="no such model file"):
        locate(weights("project:../weights.py"))


def test_weights_are_fetched_once_and_then_kept(server, tmp_path):
    folder, address = server
    data = torch.arange(1000).numpy().tobytes()
    (folder / "m.pth").write_bytes(data)
    settings, cache = weights(f"{address}/m.pth", sha256(data)), tmp_path / "cache"
    path = locate(settings, cache)
    assert path.read_bytes() == data
    (folder / "m.pth").unlink()
    assert locate(settings, cache) == path
    assert [p.name for p in cache.iterdir()] == ["m.pth"]


def test_a_fetched_file_with_the_wrong_digest_is_not_kept(server, tmp_path):
    folder, address = server
    (folder / "m.pth").write_bytes(b"other bytes")
    with pytest.raises(WeightsError, match=f"expected {'0' * 64}"):
        locate(weights(f"{address}/m.pth", "0" * 64), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_without_network_the_error_says_which_file_to_put_where(server, tmp_path):
    _, address = server
    cache = tmp_path / "cache"
    with pytest.raises(WeightsError) as caught:
        locate(weights(f"{address}/absent.pth", "0" * 64), cache)
    assert f"download {address}/absent.pth" in caught.value.fix
    assert str(cache / "absent.pth") in caught.value.fix


def test_a_file_put_into_the_cache_by_hand_is_taken(tmp_path):
    digits = sha256(b"weights")[:8]
    path = tmp_path / f"rtmpose-m-{digits}_20230504.pth"
    path.write_bytes(b"weights")
    assert locate(weights(f"https://download.example.org/{path.name}"), tmp_path) == path


def test_the_digits_in_a_model_zoo_name_are_checked(tmp_path):
    path = tmp_path / "rtmpose-m-0123abcd_20230504.pth"
    path.write_bytes(b"weights")
    with pytest.raises(WeightsError, match="expected 0123abcd"):
        locate(weights(f"https://download.example.org/{path.name}"), tmp_path)
    with pytest.raises(WeightsError, match="expected 0123abcd"):
        locate(weights(path))


def test_plain_http_needs_a_digest(tmp_path):
    with pytest.raises(WeightsError, match="over https, or over http with a sha256"):
        locate(weights("http://127.0.0.1:9/m.pth"), tmp_path)


def test_absent_local_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        locate(weights(tmp_path / "nowhere.pth"))


def test_an_address_has_its_place_in_the_cache_and_a_file_its_own(tmp_path):
    assert place(weights("https://download.example.org/zoo/m.pth?version=2"), tmp_path) == tmp_path / "m.pth"
    assert place(weights(tmp_path / "own" / "m.pth"), tmp_path) == tmp_path / "own" / "m.pth"
    assert place(weights("project:demo_lifter.safetensors"), tmp_path).is_file()


def test_the_expected_digest_is_the_one_set_else_the_digits_in_a_model_zoo_name_else_none():
    zoo = "https://download.example.org/rtmpose-m-0123abcd_20230504.pth"
    assert expected_digest(weights(zoo, "a" * 64)) == "a" * 64
    assert expected_digest(weights(zoo)) == "0123abcd"
    assert expected_digest(weights("https://download.example.org/m.pth")) == ""


def test_a_look_says_what_is_here_and_whether_its_digest_fits(tmp_path):
    path = tmp_path / "m.pth"
    assert look(path, "0123abcd") == Found("missing")
    path.write_bytes(b"weights")
    actual = sha256(b"weights")
    assert look(path) == look(path, actual[:8]) == look(path, actual) == Found("here", 7, actual)
    assert look(path, "0123abcd") == Found("damaged", 7, actual)


def test_fetching_tells_how_far_it_is(server, tmp_path):
    folder, address = server
    (folder / "m.pth").write_bytes(b"weights")
    told = []
    settings = weights(f"{address}/m.pth", sha256(b"weights"))
    locate(settings, tmp_path / "cache", lambda done, total, message="": told.append((done, total)))
    assert (told[0], told[-1]) == ((0, 7), (7, 7))
