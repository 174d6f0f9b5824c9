# `make check` and `make test` each turn a fresh clone into a working .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DOCUMENTED := .venv/.documented
GPU := runs/gpu-$(shell date +%Y%m%d-%H%M%S)
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: check test test-slow test-oldest test-newest test-packages docs referee gpu mutants release-check demo demo-swiss_roll demo-gaussians lint format clean

check: $(INSTALLED)  ## every curvature against closed forms, and on a trained decoder
	$(BIN)/python -m verification.check

test: lint  ## the test suite, on all cores
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow"
	TRITON_INTERPRET=1 $(BIN)/python -m pytest -n auto -m "not slow" tests/kernels

test-slow: $(DOCUMENTED)  ## what takes longer than a few seconds a test
	$(BIN)/python -m pytest -n auto --dist loadgroup -m slow
	TRITON_INTERPRET=1 $(BIN)/python -m pytest -n auto -m slow tests/kernels

test-oldest:  ## check and tests with the lowest versions that pyproject.toml allows, in .venv-oldest
	$(call install-and-test,.venv-oldest,--constraint constraints-oldest.txt)

test-newest:  ## and with the newest there are, in .venv-newest
	$(call install-and-test,.venv-newest,--upgrade --upgrade-strategy eager)

test-packages:  ## decoders of diffusers, scvi-tools, monai, ... against finite differences: docs/packages.md
	$(PYTHON) -m venv .venv-packages
	.venv-packages/bin/python -m pip install --quiet --constraint constraints-packages.txt --editable '.[packages]'
	TRANSFORMERS_VERBOSITY=error .venv-packages/bin/python -W ignore -m verification.packages --require-all --out docs/packages.md

docs: $(DOCUMENTED)  ## the site, offline, its tutorials run: docs/_build/html/index.html
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html

referee: $(INSTALLED)  ## curvcore and its peers by one ruler, each in an environment of its own: docs/referee.md
	$(BIN)/python -m verification.referee

define install-and-test
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet $(2) --editable '.[dev]'
	$(1)/bin/python -m verification.check --quick
	$(1)/bin/python -m pytest -n auto --dist loadgroup -m "not slow"
endef

# With the Python that is there: a machine with a GPU may have no network to install from.
DEVICE ?= cuda
OUT ?= $(GPU)
gpu:  ## tests, benchmark, step time and check on a GPU in five minutes, into the folder OUT
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m verification.gpu --device $(DEVICE) --out $(OUT)

mutants: $(INSTALLED)  ## is every wrong line of curvcore noticed? Long: see README
	$(BIN)/python -m verification.mutants

release-check: $(INSTALLED)  ## what would be released: built from tracked files, looked at, installed, used
	$(BIN)/python -m tests.release

demo: $(INSTALLED)  ## a swiss roll and three Gaussian clouds, before and after regularisation, and their report
	@$(MAKE) --no-print-directory -j2 demo-swiss_roll demo-gaussians DEMO=$(DEMO)
	$(BIN)/python -m training report $(DEMO)/*/before $(DEMO)/*/after --out $(DEMO)/report.html

# Two runs at a time, of one thread each; a third of the Gaussians' points in more epochs.
FIT = OMP_NUM_THREADS=1 $(BIN)/python -m training fit --trainer.enable_progress_bar false
FEWER = --data.source.init_args.per_cloud 6000 --trainer.max_epochs 40

demo-swiss_roll:
	$(FIT) --config training/configs/swiss_roll_none.yaml --run $(DEMO)/swiss_roll/before
	$(FIT) --config training/configs/swiss_roll_r2.yaml --run $(DEMO)/swiss_roll/after

demo-gaussians:
	$(FIT) --config training/configs/gaussians_none.yaml $(FEWER) --run $(DEMO)/gaussians/before
	$(FIT) --config training/configs/gaussians_r2.yaml $(FEWER) --run $(DEMO)/gaussians/after

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest .venv-newest .venv-packages build dist docs/_build *.egg-info .pytest_cache .ruff_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "curvcore needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(DOCUMENTED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@
