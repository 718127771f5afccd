from storage.store.lineage import Holders, inputs_of


def manifest(digest: str, at: str, **files: str) -> dict:
    return {"digest": digest, "files": {name: {"sha256": d} for name, d in files.items()}, "made": {"at": at}}


def test_inputs_are_named_one_by_one() -> None:
    inputs = {"index": "d0", "skeletons": ["d1", "d2"], "results": {"After": "d3"}, "encoder": None}
    assert inputs_of({"inputs": inputs}) == [
        ("index", "d0"),
        ("skeletons 0", "d1"),
        ("skeletons 1", "d2"),
        ("results After", "d3"),
    ]


def test_content_is_held_as_a_whole_or_in_a_file_and_the_newest_holder_comes_last() -> None:
    new, old = manifest("new", "2026-01-02", a="same", b="other"), manifest("old", "2026-01-01", a="same")
    holders = Holders({("index", "n"): new, ("index", "o"): old})
    assert holders.of("same") == [(("index", "o"), "a"), (("index", "n"), "a")]
    assert holders.of("new") == [(("index", "n"), "")]
    assert holders.of("nobody's") == []
