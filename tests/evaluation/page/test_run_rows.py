"""How a run was made, as rows."""

from evaluation.page.run_rows import lineage_rows, setting, setting_rows, version_rows


def test_lineage_has_one_row_a_stage_with_the_time_of_all_its_parts() -> None:
    made = {"device": "cpu", "made": "2026-01-01T00:00:00Z"}
    shards = [
        {"stage": "skeletons", "artifact": f"skeletons {i}", "key": f"k{i}", "seconds": 20, **made} for i in (0, 1)
    ]
    index, skeletons = lineage_rows(
        [{"stage": "index", "artifact": "index", "key": "k", "seconds": 0.2, **made}, *shards]
    )
    assert (index["count"], index["time"]) == (1, "0.2 s")
    assert (skeletons["count"], skeletons["time"]) == (2, "40 s")
    assert skeletons["parts"] == [("skeletons 0", "k0"), ("skeletons 1", "k1")]


def test_versions_are_of_all_artifacts_and_several_where_a_library_was_upgraded_between() -> None:
    made = [{"versions": {"torch": "2.14.0", "numpy": "2.4.6"}}, {"versions": {"torch": "2.15.0"}}, {}]
    assert version_rows(made) == [("numpy", "2.4.6"), ("torch", "2.14.0 and 2.15.0")]


def test_settings_that_differ_stand_apart_with_their_defaults() -> None:
    settings = [
        {"name": "a.ranks", "value": [1, 5], "default": [1, 5], "differs": False},
        {"name": "a.name", "value": "x", "default": None, "differs": True},
    ]
    rows = setting_rows(settings)
    assert rows["changed"] == [{"name": "a.name", "value": "x", "default": "null"}]
    assert rows["same"] == [{"name": "a.ranks", "value": "[1, 5]", "default": "[1, 5]"}]
    assert setting(settings, "a.ranks") == [1, 5]
    assert setting(settings, "a.other") is None
