# Every target sets up what it needs: python3, gcc-free wheels and this file are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What the benchmark compares with: torch is in no other environment.
TORCH_VENV := .venv-torch
TORCH_PACKAGES := torch==2.13.0 transformers==5.23.0
# Further options of benchmarks/run.py, as --labelled REVIEWS or --only minilm.
BENCH_FLAGS ?=

# The server's own environment, beside this file so that `make clean` finds it.
export BERTRITON_RUNTIME_DIR ?= $(CURDIR)/.runtime

.PHONY: demo test fuzz lint serve bench clean help

help:  ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' Makefile

demo: $(VENV)/.serve-ready  ## Export the embedded model, serve it, classify real reviews, stop.
	$(BIN)/python examples/demo.py

test: $(VENV)/.dev-ready  ## Run all tests, against a real Triton.
	$(BIN)/python -m pytest

fuzz: $(VENV)/.dev-ready  ## Feed the checkpoint readers with many more damaged files than `make test` does.
	$(BIN)/python -m pytest tests/export -k fail_otherwise --hypothesis-profile=fuzz

lint: $(VENV)/.dev-ready  ## Check style, types and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(VENV)/.serve-ready  ## Export the embedded model and serve it until Ctrl-C.
	$(BIN)/bertriton export checkpoints/imdb-minilm --name imdb
	$(BIN)/bertriton serve

bench: $(VENV)/.dev-ready $(TORCH_VENV)/.ready  ## Compare with Hugging Face and ONNX Runtime; write docs/benchmarks.md.
	$(BIN)/python benchmarks/run.py --torch-python $(TORCH_VENV)/bin/python $(BENCH_FLAGS)

clean:  ## Remove environments, caches and generated weights.
	rm -rf $(VENV) $(TORCH_VENV) .runtime .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	git clean -fdXq model_repository

$(VENV)/.serve-ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing bertriton with its exporter and server into $(VENV)"
	$(PIP_INSTALL) --editable '.[export,serve]'
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.serve-ready
	@echo "installing the development tools into $(VENV)"
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

$(TORCH_VENV)/.ready: Makefile
	$(PYTHON) -m venv $(TORCH_VENV)
	@echo "installing $(TORCH_PACKAGES) into $(TORCH_VENV)"
	$(TORCH_VENV)/bin/pip install --quiet --disable-pip-version-check $(TORCH_PACKAGES)
	@touch $@
