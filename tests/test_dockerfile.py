"""The Dockerfile, read as Docker reads it: what it copies is there, what it installs is locked, who it runs as."""

import fnmatch
import json
import re
import tomllib
from pathlib import Path

import pytest

from flows.deploying.deployments import IMAGE_FOLDER

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """Each stage's instructions, (name, arguments), from its FROM on."""
    text = (ROOT / "Dockerfile").read_text()
    whole = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    lines = [line.split(None, 1) for line in whole.splitlines() if line.strip()]
    found: list[list[tuple[str, str]]] = []
    for name, arguments in lines:
        assert name in {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}, name
        if name == "FROM":
            found.append([])
        found[-1].append((name, re.sub(r"\s+", " ", arguments)))
    return found


def of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for found, arguments in stage if found == name]


def copied_from_here(stages: list[list[tuple[str, str]]]) -> list[str]:
    lines = [line for stage in stages for line in of(stage, "COPY") if not line.startswith("--from=")]
    return [source for line in lines for source in line.split()[:-1]]


def test_every_copied_file_is_there_and_reaches_the_builder(stages: list[list[tuple[str, str]]]) -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = copied_from_here(stages)
    assert {"storage", "extraction", "training", "evaluation", "flows", "configs"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        rules = [rule for rule in ignored if fnmatch.fnmatch(source, rule.lstrip("!"))]
        assert rules[-1].startswith("!"), f"{source} is ignored"


def test_nothing_else_of_a_checkout_reaches_the_builder() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    assert not {"!data", "!store", "!.git", "!.venv", "!*"} & set(rules)


def test_every_package_of_the_project_is_copied(stages: list[list[tuple[str, str]]]) -> None:
    assert {package.rstrip("*") for package in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]} <= set(
        copied_from_here(stages)
    )


def test_what_is_installed_is_the_lock_and_nothing_else(stages: list[list[tuple[str, str]]]) -> None:
    parts = [part for stage in stages for line in of(stage, "RUN") for part in line.split("&&")]
    installs = [part for part in parts if "pip install" in part]
    assert len(installs) == 2
    assert "--no-deps -r requirements.lock --no-binary xtcocotools" in installs[0]
    assert "--no-deps -r requirements.lock --no-binary xtcocotools" in (ROOT / "Makefile").read_text()
    assert installs[1].strip().endswith("--no-deps -e .")


def test_cuda_is_of_the_version_that_the_locked_torch_was_built_for(stages: list[list[tuple[str, str]]]) -> None:
    runtime = re.search(r"^nvidia-cuda-runtime==(\d+)\.", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert runtime
    assert all(of(stage, "FROM")[0].startswith(f"nvidia/cuda:{runtime[1]}.") for stage in stages)
    assert all("-runtime-" in of(stage, "FROM")[0] for stage in stages)


def test_it_runs_python_3_11_and_not_as_root(stages: list[list[tuple[str, str]]]) -> None:
    assert any("--python 3.11 /opt/venv" in line for line in of(stages[0], "RUN"))
    last = stages[-1]
    assert of(last, "USER") == ["csip"]
    names = [name for name, _ in last]
    assert "RUN" not in names[names.index("USER") :]
    assert "useradd --uid 1000 --create-home csip" in of(last, "RUN")[0]
    template = json.loads((ROOT / "flows/deploying/recipes/kubernetes.json").read_text())
    job = template["job_configuration"]["job_manifest"]
    assert job["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 1000


def test_what_it_starts_is_installed(stages: list[list[tuple[str, str]]]) -> None:
    last = stages[-1]
    assert json.loads(of(last, "ENTRYPOINT")[0])[0] in of(last, "RUN")[0].split()
    assert json.loads(of(last, "CMD")[0])[0] in PROJECT["project"]["scripts"]
    assert of(last, "WORKDIR") == [IMAGE_FOLDER]
    assert {"/opt/python", "/opt/venv", IMAGE_FOLDER} == {line.split()[-1] for line in of(last, "COPY")}


def test_no_secret_is_in_it(stages: list[list[tuple[str, str]]]) -> None:
    names = [name for stage in stages for line in of(stage, "ENV") for name in re.findall(r"(\w+)=", line)]
    assert not [name for name in names if re.search(r"(?i)key|secret|token|password", name)]
