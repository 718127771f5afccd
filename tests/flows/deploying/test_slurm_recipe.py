"""The Slurm recipe as a script: with stand-ins for Slurm, Ray and csip on the PATH, and real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest

SCRIPT = Path(str(files("flows") / "deploying/recipes/ray-on-slurm.sh"))
TOKEN = "5ecre7"  # noqa: S105 - looked for in what is printed

COMMANDS = {
    # runs its command here, as if on the node
    "srun": """
for option; do case $option in --nodelist=*) export NODE=${option#*=};; esac; done
while [[ $1 == --* ]]; do shift; done
exec "$@" """,
    "scontrol": """
case $1 in show) tr ',' '\\n' <<< "$3";; *) echo "$*" >> "$LOGS/scontrol";; esac""",
    "hostname": 'echo "10.0.0.${NODE#n}"',
    "ray": """
echo "$NODE: $* token=${RAY_AUTH_TOKEN:+set} mode=$RAY_AUTH_MODE" >> "$LOGS/ray"
echo $$ >> "$LOGS/pids"
if [ "$NODE" = "${ABSENT:-}" ]; then sleep 1; exit 1; fi
touch "$LOGS/alive-$NODE"
trap 'rm "$LOGS/alive-$NODE"; exit 0' TERM
while :; do sleep 0.1; done""",
    # stands for what Ray's client would say of its nodes
    "python": 'ls "$LOGS" | grep -c alive-',
    "csip": """
echo "$NODE: $*" >> "$LOGS/csip"
if [ -n "${LONG:-}" ]; then
    trap 'echo stopped >> "$LOGS/csip"; exit 143' TERM
    while :; do sleep 0.1; done
fi
exit "${STATUS:-0}" """,
}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path, logs: Path) -> dict[str, str]:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, body in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)
    return {
        "PATH": f"{commands}:/usr/bin:/bin",
        "LOGS": str(logs),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NUM_NODES": "3",
        "SLURM_JOB_NODELIST": "n1,n2,n3",
        "SLURM_CPUS_PER_TASK": "8",
        "PREFECT_API_URL": "http://10.0.0.9:4200/api",
        "RAY_AUTH_TOKEN": TOKEN,
    }


def call(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def nobody_is_left(logs: Path) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in (logs / "pids").read_text().split())


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    done = subprocess.run(
        [str(shellcheck), "--severity=style", str(SCRIPT)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_ray_is_on_every_node_while_csip_runs_on_the_first(environment: dict[str, str], logs: Path) -> None:
    done = call(environment, "configs/mars.yaml", "--set", "store=s3://bucket/reid")
    assert done.returncode == 0, done.stdout + done.stderr
    address = "10.0.0.1:24711"
    told = "n1: run configs/mars.yaml --set store=s3://bucket/reid --set runner.kind=ray --set runner.address="
    assert (logs / "csip").read_text() == f"{told}{address}\n"
    starts = sorted((logs / "ray").read_text().splitlines())
    assert [start.split(":")[0] for start in starts] == ["n1", "n2", "n3"]
    assert "--head" in starts[0]
    assert "--node-ip-address=10.0.0.1" in starts[0]
    assert all(f"--address={address}" in start and "--head" not in start for start in starts[1:])
    assert "--node-ip-address=10.0.0.3" in starts[2]
    assert all("--num-cpus=8" in start and start.endswith("token=set mode=token") for start in starts)
    assert nobody_is_left(logs)
    assert not (logs / "scontrol").exists()


def test_nothing_listens_everywhere_and_no_token_is_shown(environment: dict[str, str], logs: Path) -> None:
    done = call(environment, "configs/mars.yaml")
    shown = done.stdout + done.stderr + "".join(path.read_text() for path in logs.iterdir())
    assert TOKEN not in shown
    assert "0.0.0.0" not in shown  # noqa: S104 - looked for
    assert not re.search(r"0\.0\.0\.0|set -x|xtrace", SCRIPT.read_text())


def test_the_status_is_that_of_csip(environment: dict[str, str], logs: Path) -> None:
    assert call(environment | {"STATUS": "3"}, "configs/mars.yaml").returncode == 3
    assert nobody_is_left(logs)


def test_a_preempted_job_stops_the_run_and_is_queued_again(environment: dict[str, str], logs: Path) -> None:
    process = subprocess.Popen(
        ["bash", str(SCRIPT), "configs/mars.yaml"], env=environment | {"LONG": "1"}, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (logs / "csip").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert (logs / "csip").read_text().endswith("stopped\n")
    assert (logs / "scontrol").read_text() == "requeue 4711\n"
    assert "queued again" in told
    assert nobody_is_left(logs)


def test_a_node_that_does_not_join_ends_the_job_with_a_message(environment: dict[str, str], logs: Path) -> None:
    done = call(environment | {"ABSENT": "n2"}, "configs/mars.yaml")
    assert done.returncode == 1
    assert "Ray did not start on every node" in done.stderr
    assert not (logs / "csip").exists()
    assert nobody_is_left(logs)


@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        ("", [], "no configuration"),
        ("SLURM_JOB_ID", ["configs/mars.yaml"], "submit this script with sbatch"),
        ("PREFECT_API_URL", ["configs/mars.yaml"], "set PREFECT_API_URL"),
    ],
)
def test_what_is_missing_is_said_at_once(
    environment: dict[str, str], logs: Path, missing: str, arguments: list[str], message: str
) -> None:
    done = call({name: value for name, value in environment.items() if name != missing}, *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert not list(logs.iterdir())
