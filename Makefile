# Two commands are enough: `make demo` runs the main job, `make test` passes the tests. Both set everything up first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-build-isolation --no-deps

.PHONY: help demo test check lint types unit bench campaign requirements manual lock clean setup

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.base: .ci/find-python locks/build.lock
	@python="$$(.ci/find-python)" || exit 1; \
	echo "setting up $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV) && $(PIP) --require-hashes -r locks/build.lock
	@touch $@

$(VENV)/.runtime: $(VENV)/.base locks/runtime.lock pyproject.toml
	@echo "installing the packages of locks/runtime.lock (once, about a minute; durable-rules is compiled)"
	@$(PIP) --require-hashes -r locks/runtime.lock && PYTHONWARNINGS=ignore $(PIP) --editable . 2>/dev/null || $(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime locks/dev.lock
	@echo "installing the packages of locks/dev.lock (once)"
	@$(PIP) --require-hashes -r locks/dev.lock
	@touch $@

$(VENV)/.bench: $(VENV)/.dev locks/bench.lock
	@echo "installing the packages of locks/bench.lock (once)"
	@$(PIP) --require-hashes -r locks/bench.lock
	@touch $@

setup: $(VENV)/.dev  ## install everything that work on the project needs

demo: $(VENV)/.runtime  ## a year of a synthetic market with the policy in the loop, a crash, a report, and a kill-switch drill
	@$(BIN)/stagegate rehearse --out reports/demo
	@echo && echo "The last week again, every order through the client to a simulated venue, and then the kill switch:"
	@$(BIN)/stagegate rehearse --venue simulator --drill --from 2024-12-25 --to 2025-01-01 --out reports/demo/week

test: lint types unit  ## ruff, mypy --strict, import-linter, pytest

check: test  ## the same as CI

lint: $(VENV)/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo

types: $(VENV)/.dev
	@$(BIN)/mypy

# With the bytecode kept, where the environment forbids it too: else each worker and each of the hundreds of processes
# that the tests start compiles the project anew.
unit: $(VENV)/.dev
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest

bench: $(VENV)/.bench  ## speed and memory beside what a user would pick instead
	@$(BIN)/python -m benchmarks

requirements: $(VENV)/.dev  ## run the suite and write docs/requirements.md: every row of the SOP, its code, its tests
	@STAGEGATE_MANUAL=whole $(BIN)/pytest --requirements=docs/requirements.md

campaign: $(VENV)/.dev  ## days of trading at a venue that misbehaves, by seed, and kills at every write; long
	@$(BIN)/python -m benchmarks.campaign

manual: $(VENV)/.dev  ## run every command of docs/operator-manual.md, as printed, at a simulated venue
	@STAGEGATE_MANUAL=whole $(BIN)/pytest -n 0 tests/pages/test_operator_manual.py

lock:  ## resolve the locks anew (needs uv on the PATH)
	@.ci/lock

clean:  ## remove the environment and caches, keep reports
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
