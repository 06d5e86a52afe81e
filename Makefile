# Everything runs from .venv, which `install` makes; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
WORKERS ?= 2

.PHONY: install demo test lint types docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/acnorm demo --out demo --overwrite

test: lint types
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not real' --cov --cov-report=term

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist site demo *.egg-info
