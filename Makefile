# Two commands on a fresh machine: `make demo` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo docs test test-fast test-floors test-pythons lint hooks bench faults slurm-faults figures answer paper clean

# A stamp for each set of extras: installed again only when pyproject.toml changes.
$(VENV)/.nets: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[nets]"
	touch $@

$(VENV)/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $(VENV)/.nets $(VENV)/.paper $(VENV)/.docs $@

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

$(VENV)/.docs: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $(VENV)/.nets $@

# The site, build/docs: warnings are errors, tutorials are executed (and kept in build/notebooks), no network.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs build/docs

test-fast: $(VENV)/.test
	$(BIN)/pytest -n auto -m "not slow"

# The lowest versions that pyproject.toml allows, of what it names itself; Python's lowest is 3.11.
FLOORS ?= .venv-floors
test-floors:
	python3.11 -m venv $(FLOORS)
	$(FLOORS)/bin/python -m pip install --quiet uv
	$(FLOORS)/bin/uv pip install --quiet --python $(FLOORS)/bin/python --resolution lowest-direct --editable ".[test]"
	$(FLOORS)/bin/python -m pytest -n auto -m "not slow"

# The fast tests on each of these versions of Python that is here.
PYTHONS ?= 3.11 3.12 3.13
test-pythons:
	set -e; for version in $(PYTHONS); do \
	  if ! python$$version -c "" 2>/dev/null; then echo "no python$$version here: left out"; continue; fi; \
	  $(MAKE) test-fast PYTHON=python$$version VENV=.venv-$$version; \
	done

# Before each commit: .pre-commit-config.yaml.
hooks: $(VENV)/.test
	@if command -v pre-commit >/dev/null; then pre-commit install; \
	else echo "pre-commit is not installed: pip install pre-commit" >&2; exit 1; fi

# Nothing else should run meanwhile. Some libraries are told by the environment to run as on an older processor.
bench: $(VENV)/.test
	env -u OPENBLAS_CORETYPE PYTHONPATH=.:tests/benchmarks $(BIN)/python tests/benchmarks/flow_benchmark.py
	PYTHONPATH=tests/benchmarks $(BIN)/python tests/benchmarks/diffeo_benchmark.py
	PYTHONPATH=tests/benchmarks $(BIN)/python tests/benchmarks/nets_benchmark.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/sweep_benchmark.py

# Each fault 20 times on a real Slurm of this machine: three hours on two cores.
slurm-faults: $(VENV)/.test
	PYTHONPATH=.:tests/benchmarks $(BIN)/python tests/benchmarks/slurm_faults.py

# Kills, full disks, lost machines: an hour.
faults: $(VENV)/.test
	PYTHONPATH=. $(BIN)/python tests/benchmarks/fault_table.py

clean:
	rm -rf $(VENV) .venv-* build *.egg-info

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

# The README's answer, docs/results.md and their figures, from the committed tables.
answer: $(VENV)/.nets
	$(BIN)/python -m paper.scripts.answer
	$(BIN)/python -m paper.scripts.net_laws
	$(BIN)/python -m paper.scripts.hierarchies
	$(BIN)/python -m paper.figures.displacement
