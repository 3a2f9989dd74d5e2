# Everything one does here, by name. The first target sets up a virtual environment in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE ?= 1

.PHONY: compare evaluate test check bench soak format clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

compare: $(VENV)/ready  ## draw faces, train one backbone with every head, score strangers, write runs/
	$(BIN)/recognition compare $(ARGS)

evaluate: $(VENV)/ready  ## what embeddings are worth on strangers: make evaluate ARGS=faces.npz
	$(BIN)/recognition evaluate $(ARGS)

test: $(VENV)/ready  ## the whole suite
	$(BIN)/python -m pytest -n auto $(ARGS)

check: $(VENV)/ready  ## style, types, and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/ready  ## time, memory and exactness beside the peers; about half an hour
	$(BIN)/python tests/benchmarks/class_axis.py $(ARGS)
	$(BIN)/python tests/benchmarks/sampling.py
	$(BIN)/python tests/benchmarks/million.py
	$(BIN)/python tests/benchmarks/all_pairs.py
	$(BIN)/python tests/benchmarks/ijbc.py
	$(BIN)/python tests/benchmarks/faces.py
	$(BIN)/python tests/benchmarks/gallery.py

soak: $(VENV)/ready  ## thirty times as many random examples, coverage of intervals in full, a kill at 100,000 pictures
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -n auto $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/coverage.py
	$(BIN)/python tests/benchmarks/all_pairs.py --resume-proof

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
