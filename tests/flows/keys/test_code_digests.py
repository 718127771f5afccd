"""What counts as code of a stage, on a small invented stage and on a copy of our own packages."""

import shutil
import time
from pathlib import Path

import pytest

from flows.keys.reach import code_digests
from flows.keys.syntax import PACKAGES

ROOT = Path(__file__).parents[3]
STAGES = (
    "storage.index",
    "extraction.skeleton_files",
    "extraction.extract",
    "extraction.score",
    "training.visual",
    "training.features",
    "training.pretrain",
    "training.finetune",
    "training.embed",
    "evaluation.evaluate",
    "evaluation.report",
)

TRIPLETS = ["training.visual", "training.finetune"]

ON_ALL_DEVICES = ["training.pretrain", "training.finetune"]
SKELETONS = ["extraction.skeleton_files", "extraction.extract"]

FILES = {
    "training/stage.py": '''
"""A stage."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

import training.tools
import training.tools as same_tools
from storage.settings import Settings, neutral
from training.first import begin
from training.forms import Square
from training.marks import noted

if TYPE_CHECKING:
    from training.unrelated import Shape


class StageSettings(Settings):
    """Settings."""

    rate: float = Field(0.5, gt=0, description="The rate.")
    workers: int = neutral(1, "Workers.", ge=1)


@dataclass(frozen=True)
class Inputs:
    """Inputs."""

    index: str


@noted
def run(inputs: Inputs, settings: StageSettings, out_dir, progress):
    """Run it."""
    from training.late import finish

    values = begin(settings.rate)  # starts it
    training.tools.sharpen(values)
    same_tools.clean(values)
    command = ["python", "-m", "training.program"]
    return finish(Square(2).area(), command, rest=lambda unrelated: unrelated + 1)


def unrelated(shape: "Shape"):
    return shape
''',
    "training/first.py": "from training.second import go_on\n\n\ndef begin(rate):\n    return go_on(rate)\n",
    "training/second.py": "from storage.third import last\n\n\ndef go_on(rate):\n    return last(rate)\n",
    "storage/third.py": (
        "LIMIT = 3\nSTEPS = (1, 2)\nOTHER = 5\n\n\n"
        "def last(rate, steps=STEPS):\n    return min(rate, LIMIT)\n\n\n"
        "def never_called():\n    return OTHER\n"
    ),
    "storage/settings.py": "from pydantic import BaseModel, Field\n\n\nclass Settings(BaseModel):\n    pass\n\n\n"
    "def neutral(default, description, **more):\n    return Field(default, description=description, **more)\n",
    "training/forms/__init__.py": "from training.forms.square import Square as Square\n"
    "from training.forms.circle import Circle as Circle\n",
    "training/forms/square.py": "from training.forms.form import Form\n\n\nclass Square(Form):\n"
    "    def __init__(self, side):\n        self.side = side\n\n"
    "    def area(self):\n        return self.side * self.side\n",
    "training/forms/form.py": "class Form:\n    def name(self):\n        return 'form'\n",
    "training/forms/circle.py": "class Circle:\n    pass\n",
    "training/tools.py": "def sharpen(values):\n    return values\n\n\ndef clean(values):\n    return values\n\n\n"
    "def dull(values):\n    return values\n",
    "training/marks.py": "import functools\n\n\ndef noted(run):\n    @functools.wraps(run)\n    def inner(*all):\n"
    "        return run(*all)\n\n    return inner\n",
    "training/late.py": "import os\n\nfrom training.table import ENTRIES, entry\n\nos.environ['LATE'] = '1'\n\n\n"
    "def finish(*all, rest):\n    return ENTRIES[rest]()\n",
    "training/table.py": "ENTRIES = {}\n\n\ndef entry(function):\n    ENTRIES[function.__name__] = function\n"
    "    return function\n\n\n@entry\ndef one():\n    return helper()\n\n\ndef helper():\n    return 1\n",
    "training/program.py": "import sys\n\n\ndef main(given):\n    return given\n\n\n"
    "if __name__ == '__main__':\n    main(sys.argv)\n",
    "training/unrelated.py": "class Shape:\n    pass\n\n\nprint('never imported')\n",
    "training/other_stage.py": "def run(inputs, settings, out_dir, progress):\n    return 1\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


@pytest.fixture
def invented(tmp_path: Path) -> Path:
    return write(tmp_path, FILES)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=lambda _, names: {"__pycache__", "*.pth"} & {*names})
    return tmp_path


def change(root: Path, module: str, *edits: tuple[str, str, str]) -> set[str]:
    """Names whose digest differs after edits (file, old text, new text), those that came and went included."""
    before = code_digests(module, root)
    for name, old, new in edits:
        edit(root, name, old, new)
    after = code_digests(module, root)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param("training/stage.py", "# starts it", "# begins", id="comment"),
        pytest.param("training/stage.py", '"""Run it."""', '"""Run the stage."""', id="docstring of a function"),
        pytest.param("training/stage.py", '"""A stage."""', "", id="docstring of a module"),
        pytest.param("training/stage.py", "    index: str\n", '    index: str\n    """Its."""\n', id="of a field"),
        pytest.param("training/second.py", "last(rate)", "last(\n        rate,\n    )", id="formatting"),
        pytest.param("training/forms/form.py", "'form'", '"form"', id="quotes"),
        pytest.param("training/stage.py", '"The rate."', '"Its rate."', id="description of a setting"),
        pytest.param("training/stage.py", '"Workers."', '"Threads."', id="description of a neutral setting"),
        pytest.param("training/stage.py", "return shape", "return 2", id="unrelated function of the stage's module"),
        pytest.param("storage/third.py", "return OTHER", "return 0", id="unrelated function beside a helper"),
        pytest.param("storage/third.py", "OTHER = 5", "OTHER = 6", id="unrelated constant"),
        pytest.param(
            "training/tools.py", "def dull(values):\n    return", "def dull(v):\n    return", id="beside attr"
        ),
        pytest.param("training/forms/circle.py", "pass", "size = 1", id="class re-exported beside the one used"),
        pytest.param("training/unrelated.py", "pass", "size = 1", id="type that is imported for type checkers alone"),
        pytest.param("training/other_stage.py", "return 1", "return 2", id="another stage"),
    ],
)
def test_nothing_changes_with(invented: Path, file: str, old: str, new: str) -> None:
    assert change(invented, "training.stage", (file, old, new)) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "name"),
    [
        pytest.param("storage/third.py", "min(rate", "max(rate", "storage.third.last", id="helper three calls away"),
        pytest.param("storage/third.py", "LIMIT = 3", "LIMIT = 4", "storage.third.LIMIT", id="constant that it uses"),
        pytest.param("storage/third.py", "(1, 2)", "(1, 3)", "storage.third.STEPS", id="default argument"),
        pytest.param("training/stage.py", "0.5", "0.7", "training.stage.StageSettings", id="default of a setting"),
        pytest.param("training/stage.py", "index: str", "index: int", "training.stage.Inputs", id="field of Inputs"),
        pytest.param("training/forms/square.py", "* self", "+ self", "training.forms.square.Square", id="method"),
        pytest.param("training/forms/form.py", "'form'", "'forms'", "training.forms.form.Form", id="base class"),
        pytest.param("training/marks.py", "*all", "*every", "training.marks.noted", id="decorator of ours"),
        pytest.param("training/tools.py", "sharpen(values):", "sharpen(v):", "training.tools.sharpen", id="a.b.attr"),
        pytest.param("training/tools.py", "clean(values):", "clean(v):", "training.tools.clean", id="attr of an alias"),
        pytest.param("training/late.py", "*all,", "*every,", "training.late.finish", id="import inside a function"),
        pytest.param("training/late.py", "'1'", "'2'", "training.late", id="effect of an import"),
        pytest.param("training/table.py", "= {}", "= dict()", "training.table.ENTRIES", id="imported variable"),
        pytest.param(
            "training/table.py", "return helper()", "return 2 * helper()", "training.table.one", id="registry"
        ),
        pytest.param("training/table.py", "return 1", "return 2", "training.table.helper", id="what a registry's uses"),
        pytest.param("training/program.py", "return given", "return 1", "training.program.main", id="python -m"),
        pytest.param("training/program.py", "sys.argv", "()", "training.program.__main__", id="its __main__"),
    ],
)
def test_it_is_noticed_and_named_when_one_changes(invented: Path, file: str, old: str, new: str, name: str) -> None:
    assert name in change(invented, "training.stage", (file, old, new))
    assert change(invented, "training.stage", (file, new, old)) >= {name}


def test_a_name_imported_from_elsewhere_changes_who_uses_it(invented: Path) -> None:
    """The function's own text stays the same, and both places may be reached anyway."""
    shuffled = ("training/stage.py", "import numpy as np", "import training.tools as np")
    assert change(invented, "training.stage", shuffled) == set(), "nobody uses it"
    swapped = ("training/stage.py", "import training.tools as same_tools", "import training.second as same_tools")
    assert change(invented, "training.stage", swapped) >= {"training.stage.run", "training.tools.clean"}


def test_a_module_used_as_an_object_counts_as_a_whole(invented: Path) -> None:
    by_name = ("training/stage.py", "same_tools.clean(values)", "getattr(same_tools, settings.rate)(values)")
    assert "training.tools.dull" in change(invented, "training.stage", by_name)


def test_a_module_without_the_name_asked_for_counts_as_a_whole(invented: Path) -> None:
    absent = ("training/stage.py", "from training.first import begin", "from storage.third import begin")
    assert change(invented, "training.stage", absent) >= {"storage.third.never_called", "storage.third.OTHER"}


def test_a_function_that_looks_names_up_reaches_its_whole_module(invented: Path) -> None:
    blind = ("storage/third.py", "return min(rate, LIMIT)", "return globals()[rate]")
    assert change(invented, "training.stage", blind) >= {"storage.third.never_called", "storage.third.OTHER"}


def test_a_module_without_run_and_inputs_counts_as_a_whole(invented: Path) -> None:
    assert code_digests("storage.third", invented).keys() == {
        f"storage.third.{name}" for name in ("LIMIT", "STEPS", "OTHER", "last", "never_called")
    }


@pytest.mark.parametrize(
    ("decorator", "counts"),
    [
        ("functools.cache", False),
        ("dataclass(frozen=True)", False),
        ("click.command()", True),
        ("TABLE.register('x')", True),
        ("plain", False),
        ("keeps", True),
    ],
)
def test_what_a_decorator_may_have_registered_counts_with_the_import(
    tmp_path: Path, decorator: str, counts: bool
) -> None:
    entries = (
        "import functools\nfrom dataclasses import dataclass\n\nimport click\n\nTABLE = object()\n\n\n"
        "def plain(f):\n    return f\n\n\ndef keeps(f):\n    TABLE.append(f)\n    return f\n\n\n"
        f"@{decorator}\ndef entry():\n    pass\n"
    )
    stage = "import training.entries\n\n\nclass Inputs:\n    pass\n\n\ndef run():\n    pass\n"
    write(tmp_path, {"training/stage.py": stage, "training/entries.py": entries})
    assert ("training.entries.entry" in code_digests("training.stage", tmp_path)) == counts


def test_importing_a_module_runs_its_package(tmp_path: Path) -> None:
    stage = "from training.deep.inner import go\n\n\nclass Inputs:\n    pass\n\n\ndef run():\n    go()\n"
    inner = {"training/deep/__init__.py": "print('hello')\n", "training/deep/inner.py": "def go():\n    pass\n"}
    write(tmp_path, {"training/stage.py": stage, **inner})
    assert "training.deep" in code_digests("training.stage", tmp_path)


def test_a_class_that_may_register_itself_counts_with_the_import(tmp_path: Path) -> None:
    entries = "class Plain(dict):\n    pass\n\n\nclass Entry(dict, kind='entry'):\n    pass\n"
    stage = "import training.entries\n\n\nclass Inputs:\n    pass\n\n\ndef run():\n    pass\n"
    write(tmp_path, {"training/stage.py": stage, "training/entries.py": entries})
    found = code_digests("training.stage", tmp_path)
    assert "training.entries.Entry" in found
    assert "training.entries.Plain" not in found


def test_definitions_below_a_condition_belong_to_the_effects_of_the_import(tmp_path: Path) -> None:
    chosen = "try:\n    from training.fast import go\nexcept ImportError:\n    def go():\n        return 1\n"
    stage = "from training.chosen import go\n\n\nclass Inputs:\n    pass\n\n\ndef run():\n    go()\n"
    write(tmp_path, {"training/stage.py": stage, "training/chosen.py": chosen, "training/fast.py": "def go(): ...\n"})
    assert code_digests("training.stage", tmp_path).keys() == {
        "training.chosen",
        "training.fast.go",
        "training.stage.Inputs",
        "training.stage.run",
    }


def test_imports_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    a = "from training.b import missing\n\n\nclass Inputs:\n    pass\n\n\ndef run():\n    training.b.go(missing)\n"
    b = "import training.a\nfrom training.a import missing\n\n\ndef go():\n    training.a.run(missing)\n"
    write(tmp_path, {"training/a.py": f"import training.b\n{a}", "training/b.py": b})
    assert code_digests("training.a", tmp_path).keys() == {"training.a.Inputs", "training.a.run", "training.b.go"}


def test_stages_depend_neither_on_each_other_nor_on_orchestration() -> None:
    for module in STAGES:
        reached = code_digests(module)
        others = {f"{other}.run" for other in STAGES if other != module}
        assert {name.split(".")[0] for name in reached} <= {module.split(".")[0], "storage"}
        assert not others & reached.keys()


@pytest.mark.parametrize(
    ("file", "old", "new", "concerned"),
    [
        ("training/model/losses.py", "def supcon(", "def supcon(_=0, *, ", ["training.pretrain"]),
        ("training/model/losses.py", "def batch_hard_triplet(", "def batch_hard_triplet(_=0, *, ", TRIPLETS),
        ("training/looping/launch.py", "sys.executable", "'python'", ON_ALL_DEVICES),
        ("extraction/gaps.py", "def interpolate(", "def interpolate(_=0, *, ", SKELETONS),
        ("extraction/models/demo_lifter.py", "512", "256", []),  # a weight file: its bytes are in the key
        ("evaluation/ranking/distances.py", "1 << 22", "1 << 20", ["evaluation.evaluate"]),
        ("storage/store/manifests.py", "FORMAT = 2", "FORMAT = 3", []),
        ("flows/keys/steps.py", "KEY_LENGTH = 24", "KEY_LENGTH = 20", []),
    ],
)
def test_an_edit_of_our_packages_concerns_the_stages_that_use_it(
    ours: Path, file: str, old: str, new: str, concerned: list[str]
) -> None:
    before = {module: code_digests(module, ours) for module in STAGES}
    edit(ours, file, old, new)
    assert sorted(module for module in STAGES if code_digests(module, ours) != before[module]) == sorted(concerned)


def test_all_stages_are_analysed_in_a_moment(ours: Path) -> None:
    start = time.process_time()
    for module in STAGES:
        code_digests(module, ours)
    assert time.process_time() - start < 2, "about half a second of computing"


def test_a_module_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"training\.nowhere"):
        code_digests("training.nowhere", tmp_path)
