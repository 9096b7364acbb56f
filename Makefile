# Two commands do everything on a fresh machine: `make demo` and `make test`.
# PYTHON is any Python from 3.11 on. TORCH pins the CPU build that the project is developed on; set it empty to choose your own.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
TORCH ?= torch==2.13.0
# llama.cpp's AMX kernels crash on some processors (benchmarks/README.md): there it is built with all the rest
LLAMA_FLAGS := $(shell grep -q amx_int8 /proc/cpuinfo 2>/dev/null && echo CMAKE_ARGS=\"-DGGML_NATIVE=OFF -DGGML_AVX512=ON \
	-DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON\")
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup model test-model demo test test-all lint types contracts check bench vsix e2e e2e-latency clean

help:  ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready  ## Make the virtual environment

$(VENV)/.ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "dsassist needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH)" ]; then $(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

model: setup  ## Pull the default model (491 MB, once)
	@$(BIN)/dsassist model pull

demo: model  ## Watch your own machine complete real code
	@$(BIN)/dsassist demo

test-model: model
	@$(BIN)/dsassist model pull smollm2-135m

test: test-model  ## Run the default tests, in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-all: test-model  ## Run the default and the slow tests
	$(BIN)/python -m pytest -m 'not gpu and not e2e'

lint: setup  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## Types
	$(BIN)/mypy

contracts: setup  ## Import contracts
	$(BIN)/lint-imports

check: lint types contracts test  ## Everything that CI runs, but for the editors

vsix: setup  ## Check and pack the VS Code extension
	$(BIN)/python tools/generate_settings.py --check
	$(BIN)/python tools/pack_server.py
	cd vscode-extension && npm ci --no-audit --no-fund --loglevel=error && npm run --silent check && npm run --silent package

e2e: test-model vsix  ## Drive real editors: VS Code, Neovim, Emacs, Vim and Helix (6 minutes; sets them up once, 3 minutes)
	tests/e2e/run.sh

e2e-latency: model vsix  ## Measure what the extension costs an editor: activation, and from a key to its paint
	tests/e2e/run.sh latency

bench: model  ## Run every benchmark, --quick (see benchmarks/README.md)
	$(LLAMA_FLAGS) $(BIN)/python -m pip install --quiet -e '.[bench]'
	@for b in benchmarks/[a-z]*.py; do echo "== $$b"; $(BIN)/python $$b --quick || [ $$? -eq 3 ] || exit 1; done

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
