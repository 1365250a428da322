# What a person runs. `make` alone lists the targets; each sets up what it needs.
#
#   PYTHON   the interpreter that .venv is made with, 3.10 or later
#   TORCH    what pip is asked for. On Linux the package index may give the CUDA build of
#            several gigabytes; PyTorch's own index has the small one: add its --index-url here
#   WORKERS  processes that run the tests
#   BENCHMARKS  what `make bench` runs; those of speed need an idle machine
#   COUNT, SEED  how many changes `make mutants` tries, and which
#   OUT      folder for the demo's model, a temporary one by default

PYTHON ?= python3
TORCH ?= torch==2.13.0
WORKERS ?= 2
VENV ?= .venv
COUNT ?= 100
SEED ?= 1
OUT ?=
BENCHMARKS ?= training whole epoch_end neighbours table movielens_speed sequences encoding encoding_text words documents_time \
	reading table_reading startup memory serving tutorial precision movielens ipinsights cold_start \
	one_command documents nli

bin := $(VENV)/bin
installed := $(VENV)/installed
rivals := .venv-bench
clients := $(patsubst %,.venv-clients/%/installed,boto3 sdk2 sdk3)
all_clients := $(clients) $(patsubst %,.venv-clients/%/installed,sdk2020 cli)
# Each process has a part of the files, so that what a file makes once is made once.
parallel := --numprocesses $(WORKERS) --dist worksteal

# Images often set it: then each of the many processes of the tests compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo check test test-slow environments test-clients test-clients-all test-triton test-gpu \
	mutants bench pages docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

venv: $(installed)  ## make .venv with everything in it, once

# The pip that fills this environment and those of the clients, which do without one of their own.
$(bin)/pip:
	$(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install --quiet --upgrade pip

# torch comes first and pinned: asked for as a dependency, pip would take the newest one.
$(installed): pyproject.toml | $(bin)/pip
	@echo 'Installing PyTorch, then object2vec, into $(VENV): a minute or two, once.'
	$(bin)/python -m pip install $(TORCH)
	$(bin)/python -m pip install --quiet --editable '.[test]'
	@touch $@

demo: $(installed)  ## train on WordNet, measure, and look at neighbours
	$(bin)/object2vec demo $(if $(OUT),--out $(OUT))

check: $(installed)  ## lint, format and types
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

test: check  ## check, then the test suite
	$(bin)/pytest $(parallel)

test-slow: $(installed)  ## the long tests: kills, whole trainings, installing every extra
	$(bin)/pytest -m 'slow and not clients'

test-triton: $(installed)  ## the GPU's kernel without a GPU, if triton is installed
	TRITON_INTERPRET=1 $(bin)/pytest tests/kernels
	$(bin)/pytest tests/kernels/test_triton.py

test-gpu: $(installed)  ## a GPU beside a CPU, where there is one: all other tests leave it alone
	$(bin)/pytest $(parallel) -m gpu tests/kernels

mutants: $(VENV)/mutants  ## try small wrong changes on the code: do the tests notice? (hours)
	$(bin)/python scripts/mutants.py map --workers $(WORKERS)
	$(bin)/python scripts/mutants.py draw --count $(COUNT) --seed $(SEED)
	rm -f .mutants/results.json
	$(bin)/python scripts/mutants.py run --workers $(WORKERS) --minutes 600
	$(bin)/python scripts/mutants.py report

$(VENV)/mutants: $(installed)
	$(bin)/python -m pip install --quiet coverage
	@touch $@

environments: $(installed) $(clients)  ## .venv, and what test-clients needs

test-clients: environments  ## the real SageMaker clients: a server, and a few notebooks' steps
	@for python in $(clients:installed=bin/python); do \
		$(bin)/pip --python $$python freeze | grep -E '^(boto3|sagemaker)=='; done
	$(bin)/pytest $(parallel) -m 'clients and not slow' tests/clients

test-clients-all: $(installed) $(all_clients)  ## more of them, through the steps of all four notebooks
	@for python in $(all_clients:installed=bin/python); do \
		$(bin)/pip --python $$python freeze | grep -E '^(awscli|boto3|sagemaker)=='; done
	$(bin)/pytest -m clients tests/clients

# The clients exclude one another, so each has an environment of its own.
.venv-clients/%/installed: tests/clients/requirements-%.txt | $(bin)/pip
	$(PYTHON) -m venv --without-pip $(@D)
	$(bin)/pip --python $(@D)/bin/python install --quiet --no-compile --requirement $<
	@touch $@

# Rivals bring dozens of packages: they have an environment of their own.
bench: $(rivals)/installed  ## every benchmark (hours), results in benchmarks/results, and tables
	set -e; for name in $(BENCHMARKS); do $(rivals)/bin/python -m benchmarks.$$name; done
	$(rivals)/bin/python -m benchmarks.tables

$(rivals)/installed: pyproject.toml
	$(PYTHON) -m venv $(rivals)
	$(rivals)/bin/python -m pip install --quiet --upgrade pip
	$(rivals)/bin/python -m pip install $(TORCH)
	$(rivals)/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

pages: $(installed)  ## write the pages, tables and pictures that are generated
	$(bin)/object2vec hyperparameters --markdown > docs/hyperparameters.md
	$(bin)/python scripts/draw_architecture.py
	$(bin)/python -m benchmarks.tables

docs: $(VENV)/docs  ## build the site of all pages into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --quiet --strict

$(VENV)/docs: $(installed)
	$(bin)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

clean:  ## remove the environments and caches
	rm -rf $(VENV) $(rivals) .venv-clients .pytest_cache .mypy_cache .ruff_cache .hypothesis .mutants \
		build dist site
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
