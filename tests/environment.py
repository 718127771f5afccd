"""The environment of all tests: a home folder of their own, and what libraries read when they are imported.

Made by the process that starts the tests; workers of pytest-xdist, and processes that tests start, inherit it.
"""

import os
import shutil
import tempfile

WORKER = "PYTEST_XDIST_WORKER" in os.environ
# workers have a terminal's width set, and a console that is made then never looks at what a test sets
os.environ.pop("COLUMNS", None)

if not WORKER:
    home = tempfile.mkdtemp(prefix="csip-tests-")  # short: Ray's sockets lie in it
    os.environ |= {"HOME": home, "RAY_TMPDIR": home, "TORCHINDUCTOR_CACHE_DIR": f"{home}/inductor"}
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # the server is gone before the last lines are sent
    os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")


def leave() -> None:
    """Remove the home folder, by the process that made it."""
    if not WORKER:
        shutil.rmtree(home, ignore_errors=True)
