# `make demo` and `make test` are all a newcomer needs; each makes .venv when it is missing.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
WORKERS ?= 3  # processes that run tests, one torch thread each: one more than the cores, as some tests wait
export PYTHONWARNINGS ?=

.PHONY: help install demo test test-slow check golden hooks bench clean

help:
	@echo "make demo       the degradation study on the built-in digits, and a look inside, as a page (3 to 6 minutes)"
	@echo "make test       ruff, mypy and the fast tests in three processes (WORKERS=8: in eight)"
	@echo "make test-slow  the slow tests"
	@echo "make check      ruff and mypy only"
	@echo "make golden     write the golden files anew after a change of wording; read the diff"
	@echo "make hooks      run ruff and mypy before each commit (pre-commit)"
	@echo "make bench      the speed claims, ours and the peers in turn"
	@echo "make clean      remove .venv, caches and runs/demo"

# The stamps: pip runs again only when the project's requirements change.
.venv/made:
	$(PYTHON) -m venv .venv
	touch $@

.venv/core: .venv/made pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e .
	touch $@

.venv/dev: .venv/made pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	touch $@ .venv/core

install: .venv/core

demo: .venv/core
	$(BIN)/reslab study degradation --data digits --depths 20 56 --seeds 3 --recipe digits --epochs 20 --out runs/demo
	$(BIN)/reslab look lesions runs/demo/resnet56-s0 --samples 200 --repeats 5 --threads 1
	$(BIN)/reslab look lesions runs/demo/plain20-s0 --samples 200 --threads 1
	$(BIN)/reslab look paths runs/demo/resnet56-s0 --samples 8 --threads 1
	set -e; for net in plain20 plain56 resnet20 resnet56; do $(BIN)/reslab look responses runs/demo/$$net-s0 --threads 1; done
	$(BIN)/reslab report runs/demo

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest -q -n $(strip $(WORKERS)) --dist worksteal --durations=10

test-slow: .venv/dev
	$(BIN)/pytest -q -m slow --durations=10

golden: .venv/dev
	$(BIN)/pytest -q -m "" --overwrite tests/cli/test_text.py
	git diff --stat tests/golden

hooks: .venv/dev
	$(PIP) install -q pre-commit
	$(BIN)/pre-commit install

bench: .venv/dev
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/train_step.py
	$(BIN)/python bench/train.py --case cifar
	$(BIN)/python bench/train.py --case photos
	$(BIN)/python bench/images.py
	$(BIN)/python bench/initialization.py
	$(BIN)/python bench/precision.py
	$(BIN)/python bench/find.py
	$(BIN)/python bench/paths.py
	$(BIN)/python bench/lesions.py
	$(BIN)/python bench/gradients.py
	$(BIN)/python bench/qa_fold.py
	$(BIN)/python bench/qa.py
	$(BIN)/python bench/tables_embed.py
	$(BIN)/python bench/tables.py
	$(BIN)/python bench/digests.py
	$(BIN)/python bench/slim.py
	$(BIN)/python bench/ship.py

clean:
	rm -rf .venv runs/demo .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
