"""What may go: small cases by hand, and whatever the input, nothing that a kept run needs."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storage.store.contents import Kind
from storage.store.garbage import Contents, Thing, decide, kept_runs, names_in
from storage.store.lineage import Holders, inputs_of
from storage.store.runs import COMPLETED, DIED, FAILED, RUNNING, STOPPED
from storage.store.trainings import lineage_of

STATUSES = (COMPLETED, STOPPED, FAILED, DIED, RUNNING)


def manifest(digest: str, *inputs: str, **more: Any) -> dict[str, Any]:
    files = {"file": {"size": 1, "sha256": f"file of {digest}"}}
    return {"digest": digest, "files": files, "inputs": {"sources": list(inputs)}, "made": {"at": "2026"}, **more}


def record(run: str, *names: tuple[str, str], status: str = COMPLETED, name: str = "demo") -> dict[str, Any]:
    artifacts = {f"{stage} {key}": {"stage": stage, "key": key} for stage, key in names}
    return {"run": run, "name": name, "status": status, "artifacts": artifacts}


def gone(held: Contents, keep: int = 1) -> set[tuple[str, str]]:
    """Kind and key of what goes."""
    return {(thing.kind, thing.key) for thing in decide(held, keep).goes}


def test_what_only_older_runs_needed_goes_with_their_records() -> None:
    manifests = {("a", "old"): manifest("1"), ("a", "both"): manifest("2"), ("a", "new"): manifest("3")}
    runs = [record("one", ("a", "old"), ("a", "both")), record("two", ("a", "both"), ("a", "new"))]
    assert gone(Contents(manifests, runs)) == {(Kind.ARTIFACT, "old"), (Kind.RUN, "one")}
    assert gone(Contents(manifests, runs), keep=2) == set()


def test_each_name_keeps_its_own_runs() -> None:
    runs = [record("one", name="mars"), record("two"), record("three")]
    assert kept_runs(runs, 1) == {"one": "among the newest 1 of mars", "three": "among the newest 1 of demo"}


def test_a_run_that_is_going_on_stays_however_old() -> None:
    assert set(kept_runs([record("one", status=RUNNING), record("two"), record("three")], 1)) == {"one", "three"}


def test_failures_in_a_row_do_not_cost_the_last_run_that_completed() -> None:
    runs = [record("zero"), record("one"), record("two", status=FAILED), record("three", status=DIED)]
    assert set(kept_runs(runs, 2)) == {"one", "two", "three"}


def test_runs_that_were_told_to_stop_early_do_not_cost_the_last_whole_one() -> None:
    runs = [record("zero"), record("one"), record("two", status=STOPPED), record("three", status=STOPPED)]
    assert set(kept_runs(runs, 2)) == {"one", "two", "three"}


def test_what_a_kept_report_is_made_from_stays_though_no_record_names_it() -> None:
    manifests = {
        ("report", "r"): manifest("1", "2"),
        ("metrics", "m"): manifest("2", "file of 3"),
        ("embeddings", "e"): manifest("3"),
        ("embeddings", "other"): manifest("4"),
    }
    assert gone(Contents(manifests, [record("one", ("report", "r"))])) == {(Kind.ARTIFACT, "other")}


def test_of_several_with_the_same_bytes_the_one_that_a_run_used_is_enough() -> None:
    manifests = {("metrics", "m"): manifest("2", "1"), ("index", "a"): manifest("1"), ("index", "b"): manifest("1")}
    assert gone(Contents(manifests, [record("one", ("metrics", "m"), ("index", "a"))])) == {(Kind.ARTIFACT, "b")}


def test_a_killed_training_is_gone_on_with_while_its_run_is_kept() -> None:
    names = [("finetuned", "kept"), ("finetuned", "old")]
    runs = [record("one", names[1], status=DIED), record("two", names[0], status=DIED)]
    held = Contents(records=runs, others={Kind.STAGING: names})
    assert gone(held) == {(Kind.STAGING, "old"), (Kind.RUN, "one")}


def test_what_is_locked_stays() -> None:
    held = Contents({("a", "k"): manifest("1")}, others={Kind.STAGING: [("b", "k")]}, locked={("a", "k"), ("b", "k")})
    assert gone(held) == set()


def test_deletions_that_were_interrupted_are_finished() -> None:
    assert decide(Contents(others={Kind.DISCARDED: [("", "discarded-1")]}), 1).goes.keys() == {
        Thing(Kind.DISCARDED, "", "discarded-1")
    }


def test_states_stay_while_a_model_of_their_lineage_does() -> None:
    model, other = manifest("1", settings={"lr": 1, "epochs": 3}), manifest("2", settings={"lr": 2, "epochs": 3})
    lineages = [("finetuned", lineage_of("finetuned", m)) for m in (model, other)]
    held = Contents(
        {("finetuned", "k"): model, ("finetuned", "o"): other},
        [record("one", ("finetuned", "k"))],
        others={Kind.TRAINING: lineages},
    )
    assert gone(held) == {(Kind.ARTIFACT, "o"), (Kind.TRAINING, lineages[1][1])}


def test_states_stay_while_a_kept_run_has_their_stage_still_to_make() -> None:
    held = Contents(
        records=[record("one", ("finetuned", "unmade"))], others={Kind.TRAINING: [("finetuned", "x"), ("visual", "y")]}
    )
    assert gone(held) == {(Kind.TRAINING, "y")}


def test_an_artifact_whose_manifest_is_damaged_stays_if_a_run_needs_it() -> None:
    held = Contents({("a", "k"): None, ("a", "o"): None}, [record("one", ("a", "k"))])
    assert gone(held) == {(Kind.ARTIFACT, "o")}


keys = st.sampled_from([f"k{number}" for number in range(6)])
names = st.tuples(st.sampled_from("ab"), keys)
digests = st.sampled_from([f"d{number}" for number in range(6)])
some_manifest = st.none() | st.builds(lambda digest, inputs: manifest(digest, *inputs), digests, st.lists(digests))
some_records = st.lists(
    st.builds(
        lambda names, status, name: record("", *names, status=status, name=name),
        st.lists(names, max_size=4),
        st.sampled_from(STATUSES),
        st.sampled_from(["demo", "mars"]),
    ),
    max_size=8,
).map(lambda rows: [row | {"run": f"run{number}"} for number, row in enumerate(rows)])
stores = st.builds(
    Contents,
    manifests=st.dictionaries(names, some_manifest),
    records=some_records,
    others=st.fixed_dictionaries({Kind.STAGING: st.sets(names), Kind.TRAINING: st.sets(names)}),
    locked=st.frozensets(names),
)


@given(stores, st.integers(1, 4))
def test_whatever_a_store_holds_nothing_that_a_kept_run_needs_goes(held: Contents, keep: int) -> None:
    decision = decide(held, keep)
    goes = {(thing.kind, thing.stage, thing.key) for thing in decision.goes}
    stays = {(thing.stage, thing.key) for thing in decision.stays if thing.kind == Kind.ARTIFACT}

    kept = [r for r in held.records if (Kind.RUN, r["name"], r["run"]) not in goes]
    for name in names_in(kept) | set(held.locked):
        assert (Kind.ARTIFACT, *name) not in goes
        assert (Kind.STAGING, *name) not in goes

    for config in ("demo", "mars"):
        of_name = [r for r in held.records if r["name"] == config]
        left = [r for r in kept if r["name"] == config]
        assert all(r in left for r in of_name[-keep:])
        assert all(r in left for r in of_name if r["status"] == RUNNING)
        assert any(r["status"] == COMPLETED for r in left) == any(r["status"] == COMPLETED for r in of_name)

    holders = Holders({name: m for name, m in held.manifests.items() if m})
    for name in stays:
        for _, digest in inputs_of(held.manifests[name] or {}):
            there = {holder for holder, _ in holders.of(digest)}
            assert not there or there & stays, "what stays can still be explained, as far as it could before"

    assert not decision.goes.keys() & decision.stays.keys()
    everything = len(held.manifests) + len(held.records) + sum(map(len, held.others.values()))
    assert len(decision.goes) + len(decision.stays) == everything
