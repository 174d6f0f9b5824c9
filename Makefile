# `make check` and `make test` each turn a fresh clone into a working .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: check test test-slow demo lint format clean

check: $(INSTALLED)  ## every curvature against closed forms, and on a trained decoder
	$(BIN)/python -m verification.check

test: lint  ## the test suite, on all cores
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(INSTALLED)  ## what takes longer than a few seconds a test
	$(BIN)/python -m pytest -n auto -m slow

demo: $(INSTALLED)  ## unroll a swiss roll and measure how well
	$(BIN)/python -m training fit --config training/configs/swiss_roll_r2.yaml --run runs/demo-$$(date +%Y%m%d-%H%M%S)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "curvcore needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
