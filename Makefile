# Two commands on a fresh machine: `make demo` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast lint bench faults figures answer paper clean

# A stamp for each set of extras: installed again only when pyproject.toml changes.
$(VENV)/.nets: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[nets]"
	touch $@

$(VENV)/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $(VENV)/.nets $@

$(VENV)/.paper: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[paper]"
	touch $(VENV)/.nets $@

demo: $(VENV)/.nets
	$(BIN)/relstab demo

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n auto

test-fast: $(VENV)/.test
	$(BIN)/pytest -n auto -m "not slow"

# Nothing else should run meanwhile. Some libraries are told by the environment to run as on an older processor.
bench: $(VENV)/.test
	env -u OPENBLAS_CORETYPE PYTHONPATH=.:tests/benchmarks $(BIN)/python tests/benchmarks/flow_benchmark.py
	PYTHONPATH=tests/benchmarks $(BIN)/python tests/benchmarks/diffeo_benchmark.py
	PYTHONPATH=tests/benchmarks $(BIN)/python tests/benchmarks/nets_benchmark.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/sweep_benchmark.py

# Kills, full disks, lost machines: an hour.
faults: $(VENV)/.test
	PYTHONPATH=. $(BIN)/python tests/benchmarks/fault_table.py

clean:
	rm -rf $(VENV) build *.egg-info

# The README's figure, from the committed tables.
figures: $(VENV)/.nets
	$(BIN)/python -m paper.scripts.stripe_flow
	$(BIN)/python -m paper.scripts.prediction
	$(BIN)/python -m paper.scripts.learning_curves
	$(BIN)/python -m paper.scripts.image_nets
	$(BIN)/relstab report paper/data/stripe_theory.csv paper/data/fashion_mnist.csv --output build/report.html
	mkdir -p paper/figures
	cp build/report_figures/stability-against-train-size.png paper/figures/

# The manuscript, build/relstab.pdf, from the committed tables alone; refuses when the text asks for what is missing.
paper: $(VENV)/.paper
	$(BIN)/python -m paper.scripts.build_manuscript

# The README's answer and its figure, from the committed tables.
answer: $(VENV)/.nets
	$(BIN)/python -m paper.scripts.answer
