# `make demo` and `make test` need Python 3.11 or newer, make and a package index; they create the environment themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# fifteen minutes; SOAK="--seed 7 --minutes 60" for others
SOAK ?=

.PHONY: demo test test-cluster test-hosts soak check benchmarks docs clean

demo: $(VENV)/.run
	$(BIN)/simclr-orch ablate few-augmentations --preset textures --seeds 3

test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -rs -m "not cluster"

test-cluster: $(VENV)/.dev
	$(BIN)/pytest -rs -m cluster

test-hosts: $(VENV)/.dev
	$(BIN)/pytest -rs tests/cluster/test_hosts.py

soak: $(VENV)/.dev
	$(BIN)/python tests/soak $(SOAK)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: $(VENV)/.dev
	for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark || exit 1; done

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo 'open build/site/index.html'

$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/.docs: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
