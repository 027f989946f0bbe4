# Everything happens in .venv, which the first command makes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WITH_RAY := .venv/.with-ray
# Files of tests are independent of each other; of one file they share what is costly to make.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

.PHONY: demo test check fix check-all bundle clean
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nwp needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(INSTALL) '.[dev]'
	touch $@

$(WITH_RAY): $(READY)
	$(INSTALL) '.[dev,ray]'
	touch $@

demo: $(READY) ## set up, then train on the sample corpus, explain, and open the prompt
	$(BIN)/nwp demo

test: $(READY) ## set up, then run every test that is quick
	$(BIN)/python -m pytest -m 'not slow' $(SIDE_BY_SIDE)

check: $(READY) ## formatter, linter and type checker
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(READY) ## let the formatter and the linter mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check-all: check $(WITH_RAY) ## everything, the slow tests and those with Ray too
	$(BIN)/python -m pytest

bundle: $(READY) ## make the model that ships, from the sample corpus
	$(BIN)/nwp train sample --out models/sample --rounds 120 --public-words 9000 --dropout 0.4 --seed 1 --force
	rm -rf models/sample/run

clean:
	rm -rf .venv dist build
