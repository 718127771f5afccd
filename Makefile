# Each target does all of its own set-up: git, Python 3.11 and a package index are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# package mirrors often carry a certificate that only the system knows
export UV_SYSTEM_CERTS ?= true

.PHONY: demo test test-quick test-slow test-all lint types format setup clean help bench-extraction bench-training bench-store bench-archives bench-evaluation bench-search bench-scaling measure-poses experiments experiment-skeletons experiment-walkers

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(READY)  ## make .venv from requirements.lock

$(READY): requirements.lock pyproject.toml
	@echo "setting up $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
		|| (echo "error: Python 3.11 or 3.12 is needed; set PYTHON=python3.11" && exit 1)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements.lock --no-binary xtcocotools
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $(READY)

demo: $(READY)  ## raw frames to evaluated model on the generated demo data set
	@$(BIN)/csip run configs/demo.yaml

lint: $(READY)  ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	@$(BIN)/mypy storage extraction training evaluation flows

# a process more than cores, since some wait for servers; more than 8 would import for longer than they test
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(8, 1 + os.cpu_count()))')
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --durations 10 --durations-min 5

test: $(READY)  ## ruff, mypy and the quick tests, side by side
	@$(MAKE) --no-print-directory --jobs 2 lint types test-quick

test-quick: $(READY)
	@$(PYTEST) -m "not slow"

test-slow: $(READY)  ## whole runs, kills, real servers, processes (40 minutes on 2 cores)
	@$(PYTEST) -m slow --no-loadscope-reorder $(TESTS)

test-all: test test-slow  ## every test

# frames in the MARS layout, and a folder with tinypose/; rendered people and the other models without them
FRAMES ?= ../shared/data/plaza
WEIGHTS ?= ../shared/weights
POSES ?= ../shared/data/pose3d
MOCAP ?= ../shared/data/mocap
# skeletons of UTD-MHAD
MHAD ?= ../shared/data/utd-mhad
# walkers of the University of Calgary
GAIT ?= ../shared/data/gait
# MARS's five lists
PROTOCOL ?= ../shared/data/mars-protocol

bench-extraction: $(READY)  ## extraction against mmpose's own ways (20 minutes; BENCH="--only 2d" for a part)
	@$(BIN)/python -m tests.benchmarks.extraction --data $(FRAMES) --weights $(WEIGHTS) $(BENCH)

bench-training: $(READY)  ## training: speed, waiting, memory, and stage 1 against the naive way (5 minutes)
	@$(BIN)/python -m tests.benchmarks.training $(BENCH)

bench-store: $(READY)  ## what a run costs in which nothing changed, at 1 %, 10 % and 100 % of MARS (10 minutes)
	@$(BIN)/python -m tests.benchmarks.store --protocol $(PROTOCOL) $(BENCH)

bench-archives: $(READY)  ## reading frames from archives beside loose files (2 minutes)
	@$(BIN)/python -m tests.benchmarks.archives --data $(FRAMES) $(BENCH)

bench-evaluation: $(READY)  ## ranking and re-ranking beside the usual ways, and a gallery of a million (15 minutes)
	@$(BIN)/python -m tests.benchmarks.evaluation $(BENCH)
	@$(BIN)/python -m tests.benchmarks.reranking

bench-search: $(READY)  ## a search among 10,000 tracklets, part by part (3 minutes)
	@$(BIN)/python -m tests.benchmarks.search --data $(FRAMES)/bbox_test $(BENCH)

bench-scaling: $(READY)  ## the run's own cost at 20,000 shards on 200 waiting workers (40 minutes)
	@$(BIN)/python -m tests.benchmarks.scaling $(BENCH)

experiments: $(READY)  ## what skeletons and each part of the method give, 3 seeds each (a night)
	@for file in configs/experiments/alike configs/experiments/clothes tests/configs/parts; do \
		$(BIN)/csip experiment $$file.yaml || exit 1; done

experiment-skeletons: $(READY)  ## people told apart by real Kinect skeletons alone, 3 seeds (20 minutes)
	@$(BIN)/python -m tests.experiments.skeletons --data $(MHAD)

experiment-walkers: $(READY)  ## unknown walkers told apart by their skeletons, 3 seeds (5 minutes; WALKERS=--validate)
	@$(BIN)/python -m tests.experiments.walkers --data $(GAIT) $(WALKERS)

measure-poses: $(READY)  ## errors of the project's pose models, by joint on real poses where there are any
	@$(BIN)/python -m tests.fitting.measure $(if $(wildcard $(POSES)),--pose3d $(POSES)) \
		$(if $(wildcard $(MOCAP)),--mocap $(MOCAP)) --pictures store/measured-poses

format: $(READY)  ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove .venv, the demo data set and the store
	rm -rf $(VENV) data store
