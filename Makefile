# Needs Python 3.11 and make; everything else is installed into .venv from the locks in .ci/ (exact versions, checked by hash).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON := $(shell for p in python3.11 python3 python; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: help setup test lint format demo serve bench migration lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install the locked dependencies (nothing to do the second time)

demo: $(STAMP) ## Bill 16 airlines for every flight that left New York in 2013
	@$(BIN)/meterhouse demo

serve: $(STAMP) ## Run the API, the worker and the Dagster UI until Ctrl-C
	@$(BIN)/meterhouse serve

test: $(STAMP) ## Run the whole test suite (ARGS="-k name" for a part)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## Check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(STAMP) ## Measure ingest, a bill run and the explorer against plain DuckDB on this machine
	@$(BIN)/python -m tests.bench $(ARGS)

migration: $(STAMP) ## Write the next database migration from the table declarations (name="what changes")
	@$(BIN)/python -m pipelines.storage.migrations.next_revision "$(name)" $(tables)

lock: $(STAMP) ## Lock the dependencies anew (ARGS=--upgrade for the newest versions)
	@$(COMPILE) $(ARGS) --all-extras -o .ci/requirements.lock pyproject.toml

clean: ## Remove .venv and caches (never .meterhouse, which holds data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info

$(STAMP): .ci/requirements.lock .ci/uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: install it so that python3.11 is on the PATH" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes -r .ci/uv.lock
	@echo "Installing the locked dependencies into $(VENV)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r .ci/requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
