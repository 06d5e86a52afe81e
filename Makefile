# Everything runs from .venv, which `install` makes; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
EXTRAS := .venv-extras/bin
EXTRAS_STAMP := .venv-extras/.installed
WORKERS ?= 2

.PHONY: install demo zoo test test-slow test-extras lint types docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/acnorm demo --out demo --overwrite

# Needs the real data (DATA) and about an hour on two cores; finished checkpoints are kept.
DATA ?= ../shared/data
zoo: install
	$(BIN)/python benchmarks/zoo.py --data $(DATA) --runs runs/zoo

test: lint types
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not real and not slow' --cov --cov-report=term

test-slow: install
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

# The extras need torchvision, which needs a CUDA build of torch (it runs on a CPU): an environment of their own, of 5 GB.
$(EXTRAS_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-extras
	grep -v '^torch==' constraints.txt > .venv-extras/constraints.txt
	$(EXTRAS)/python -m pip install --quiet --disable-pip-version-check --constraint .venv-extras/constraints.txt \
		'torch===2.13.0' --editable '.[dev,timm,smp]'
	touch $(EXTRAS_STAMP)

test-extras: $(EXTRAS_STAMP)
	$(EXTRAS)/python -m pytest -n $(WORKERS) tests/extras

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .venv-extras build dist site demo *.egg-info
