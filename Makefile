# Two commands matter: `make demo` and `make test`. Both make their own .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: setup demo test lint types imports docstrings check soak clean

setup: $(VENV)/.ready

$(VENV)/.ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/probans demo $(ARGS)

# On every core, unless ARGS say otherwise.
test: setup
	$(BIN)/python -m pytest $(or $(ARGS),-n auto --dist worksteal)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

docstrings: setup
	$(BIN)/interrogate -q api vault signing timestamping storage identity plumbing

check: lint types imports docstrings

# Long form of a suite: make soak kill | kill-witnesses | power-loss | witness | flips | load | gigabyte | export | mutants | own-flips | made-pdfs | seal-mutants | stack | outages | migrate | batch | ledger-tools
soak: setup
	$(BIN)/python -m tests.soak $(filter-out $@,$(MAKECMDGOALS)) $(ARGS)

ifneq (,$(filter soak,$(MAKECMDGOALS)))
%:
	@:
endif

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
