# Every target does its own set-up; the second time that takes a fraction of a second.
# Without make (Windows): docs/start/install.md lists the same steps.

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do command -v $$name && break; done)
TORCH := 2.13.0
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
BENCH := $(if $(filter Windows_NT,$(OS)),.bench/Scripts,.bench/bin)
# A Python named by the user is taken as it is; our own guess may be replaced by a newer one.
SETUP = $(or $(PYTHON),$(error Hornbook needs Python 3.11 or newer, and none was found. fix: install it, or name it: make PYTHON=/path/to/python3.12)) \
	scripts/setup.py $(if $(filter file,$(origin PYTHON)),,--this-python)
LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
	--custom-compile-command "make lock" pyproject.toml

.PHONY: help setup demo test test-all check bench compare lock

help:  ## say what each target does
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "make %-9s %s\n", $$1, $$2}'

setup:  ## create .venv with Hornbook and the test tools
	@$(SETUP) --dev

demo:  ## train, prove and question a small model that reasons, in minutes
	@$(SETUP)
	@$(BIN)/hornbook demo

test:  ## format, lint, types and the tests that take minutes
	@$(SETUP) --dev
	@$(BIN)/python scripts/check.py

test-all:  ## the same with the long proofs
	@$(SETUP) --dev
	@$(BIN)/python scripts/check.py --all

check:  ## format, lint and types only: before every commit
	@$(SETUP) --dev
	@$(BIN)/python scripts/check.py --static

bench:  ## measure against other libraries, in .bench; ARGS=--write keeps the results
	@$(SETUP) --bench
	@$(BENCH)/python benchmarks/bench_prepare.py $(ARGS)
	@$(BENCH)/python benchmarks/bench_train.py $(ARGS)
	@$(BENCH)/python benchmarks/bench_rnn.py $(ARGS)

compare:  ## train Brahma and a transformer alike and compare them, in hours; ARGS=--write keeps the results
	@$(SETUP) --dev
	@$(BIN)/python benchmarks/compare_brahma.py $(ARGS)

lock:  ## pin the newest versions that fit pyproject.toml
	@$(SETUP) --dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	echo "torch==$(TORCH)" | $(LOCK) --all-extras - --output-file constraints.txt
	echo "torch==$(TORCH)" | $(LOCK) benchmarks/requirements.txt - --output-file benchmarks/constraints.txt
