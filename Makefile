# Everything runs from .venv, which `install` makes; a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
EXTRAS := .venv-extras/bin
EXTRAS_STAMP := .venv-extras/.installed
WORKERS ?= 2
# A thread a worker: more threads than cores wait for each other. A file a worker: what its tests share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
QUICK := -m 'not real and not slow'

.PHONY: install demo zoo test coverage test-slow test-extras lint types docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/acnorm demo --out demo --overwrite

# Needs the real data (DATA) and about a quarter of an hour on two cores; finished checkpoints are kept.
DATA ?= ../shared/data
zoo: install
	$(BIN)/python benchmarks/zoo.py --data $(DATA) --runs runs/zoo

test: lint types
	$(PYTEST) $(QUICK)

# The same tests, half as long again: before Python 3.12 tracing slows all that runs, the libraries too.
coverage: install
	COVERAGE_CORE=$(if $(shell $(BIN)/python -c 'import sys; sys.version_info < (3, 12) or print(1)'),sysmon,ctrace) \
		$(PYTEST) $(QUICK) --cov --cov-report=term --cov-fail-under=98

test-slow: install
	$(PYTEST) -m slow

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
