# make lab    the lessons in JupyterLab        make test   every test, notebooks included
# The first of either sets up .venv; nothing is installed anywhere else. GNU make 3.81 is enough.
#                       make test-lowest-cpu   the same on the oldest processor's arithmetic

PYTHON ?= python3
# What the machine installs as PyTorch, in a pip line of its own so that nothing else decides it. Where TORCH_ARGS is
# not set, .ci/find_torch.py looks for a CPU build and says what it took. For the build that pip takes by itself:
#     make lab TORCH_ARGS=
TORCH ?= torch==2.13.0
ifeq ($(origin TORCH_ARGS),undefined)
TORCH_BUILD = `$(PYTHON) .ci/find_torch.py "$(TORCH)"`
else
TORCH_BUILD = $(TORCH_ARGS)
endif
# Passed on: make lab ARGS=--no-browser, make test ARGS="-k wire"
ARGS ?=

BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY = .venv/.ready
NBVAL = --nbval-lax --nbval-current-env --nbval-cell-timeout=180 --nbval-kernel-startup-timeout=120 \
	--nbval-sanitize-with=tests/nbval_sanitize.cfg

.PHONY: lab test endure test-lowest test-newest test-lowest-cpu flower peers notebooks claims site test-site slides figures lint bench fuzz audit clean

lab: $(READY)
	$(BIN)/python -m fqlab.lessons.launch $(ARGS)

# One file to one process: a notebook's cells share a kernel, a module's tests share a browser.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(NBVAL) tests $(wildcard notebooks) $(ARGS)

# The kernels of the oldest processor that PyTorch runs on: other sums, other last bits. No browser, it does not compute.
test-lowest-cpu: $(READY)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 FQLAB_CHROMIUM=none \
	  $(BIN)/python -m pytest -n 2 --dist loadfile $(NBVAL) tests $(wildcard notebooks) $(ARGS)

# What only long use shows: a thousand moves of every panel in flat memory, the peak of every lesson. Some minutes.
endure: $(READY)
	$(BIN)/python -m pytest -m long -s tests $(ARGS)

# Derive each .ipynb from its .py, run it, and keep the outputs that are claims.
notebooks: $(READY)
	$(BIN)/python -m fqlab.lessons.build notebooks/*.py

# The page of the claims and the sum in the README, from the rows and their results.
claims: $(READY)
	$(BIN)/python -m fqlab.papers.page

# The course as pages that play (build/site, slides among them) or as slides alone (build/slides), without kernel and network.
site: $(READY)
	$(BIN)/python -m fqlab.lessons.website $(ARGS)

# Every panel of build/site played in a browser, and the site measured. Half an hour.
test-site: site
	FQLAB_SITE=build/site $(BIN)/python -m pytest -s tests/lessons/test_whole_site.py

slides: $(READY)
	$(BIN)/python -m fqlab.lessons.website --slides $(ARGS)

# Every figure of a paper as a file: make figures ARGS="--format png"
figures: $(READY)
	$(BIN)/fqlab figures --out build/figures $(ARGS)

# Style, and the types of everything below the pictures.
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

# Seconds and bytes, not tests: make bench BENCH=rounds ARGS=5 takes one. MNIST is read from FQLAB_DATA. BENCH=table writes what a
# round costs as a table and a picture (build/bench/speed.md, speed.svg).
BENCH ?= quantizer rounds methods growth tour panels
bench: $(READY)
	@[ -n "$$FQLAB_DATA" ] || echo "FQLAB_DATA names no folder: rows of MNIST are left out, unless it was fetched (fqlab data fetch mnist)."
	@for name in $(BENCH); do \
	  echo "== $$name"; PYTHONPATH=tests $(BIN)/python tests/benchmarks/$$name.py $(ARGS) || exit 1; done

# Hostile bytes, 100 000 for every decoder: make fuzz ARGS="--inputs 1000 idx packet"
fuzz: $(READY)
	PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

# The lowest versions that pyproject.toml promises, and the newest that were tried, in environments of their own; what is
# old uses what is new in a way that warns. No notebook, no browser: versions that are no one's promise come with these.
LOWEST_PYTHON ?= python3.10
NEWEST_PYTHON ?= python3.13
test-lowest: VERSIONED_PYTHON = $(LOWEST_PYTHON)
test-newest: VERSIONED_PYTHON = $(NEWEST_PYTHON)
test-lowest test-newest: test-%:
	@test -d .venv-$* || $(VERSIONED_PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_ARGS) \
	  --constraint tests/$*.txt torch
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint tests/$*.txt --editable '.[site]' hypothesis ipykernel jupytext nbclient pytest
	FQLAB_CHROMIUM=none .venv-$*/bin/python -m pytest -q -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning \
	  tests $(ARGS)

# Flower in an environment of its own, since it needs older releases of some packages than the rest has. Then:
#     FQLAB_FLOWER_PYTHON=.venv-flower/bin/python make test      and make endure, for faults between machines
flower:
	@test -d .venv-flower || $(PYTHON) -m venv .venv-flower
	@.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_BUILD) "$(TORCH)"
	@.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[flower]'
	@.venv-flower/bin/python -c 'import flwr'

# The same round by pfl-research and by Flower's simulation, each in an environment of its own; one that does not install is
# left out and named. MNIST is read from FQLAB_DATA.
peers: $(READY)
	@for peer in 'pfl pfl[pytorch]' 'ray flwr[simulation]>=1.42,<1.43'; do set -- $$peer; \
	  test -d .venv-$$1 || $(PYTHON) -m venv .venv-$$1; \
	  .venv-$$1/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_BUILD) "$(TORCH)" && \
	  .venv-$$1/bin/python -m pip install --quiet --disable-pip-version-check --editable . "$$2" || rm -rf .venv-$$1; done
	$(BIN)/python tests/benchmarks/peers.py $(ARGS)

# Known weaknesses of what is installed.
audit: $(READY)
	@$(PIP) pip-audit
	$(BIN)/python -m pip_audit --local --skip-editable $(ARGS)

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-flower .venv-pfl .venv-ray build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find fqlab tests notebooks -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "fqlab needs Python 3.10 or newer, but $(PYTHON) is `$(PYTHON) --version 2>&1`:" \
	       "install one and name it, as in make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt install python3-venv)"; \
	  exit 1; }
	@echo "Setting up .venv, which takes some minutes the first time: $(TORCH) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) $(TORCH_BUILD) "$(TORCH)"
	@echo "... fqlab, JupyterLab and the test tools ..."
	@$(PIP) --editable '.[lab,site,test]'
	@echo "... done."
	@touch $@
