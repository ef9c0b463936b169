PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PEERS := dev/bench/peers

.PHONY: install run demo pictures test test-pgbouncer check fuzz soak upgrade-drill cluster bench

install: $(VENV)/installed

# What `make run` needs; the tests need more.
$(VENV)/run-installed: requirements.txt dev/requirements-run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r dev/requirements-run.txt
	@touch $@

$(VENV)/installed: $(VENV)/run-installed dev/requirements.txt
	$(PIP) -r dev/requirements.txt
	@if command -v npm > /dev/null; then npm install --silent --no-save --prefix $(VENV) axe-core@4.14.1 jose@6.2.18 oauth4webapi@3.8.8; fi
	@touch $@

run: $(VENV)/run-installed
	@$(BIN)/python -m dev.run

demo: $(VENV)/run-installed
	@$(BIN)/python -m examples.portal

test: install
	$(BIN)/python -m pytest

pictures: install
	PICTURES=1 $(BIN)/python -m pytest tests/test_portal.py -n 0

test-pgbouncer: install
	PGBOUNCER=1 $(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

fuzz: install
	FUZZ_EXAMPLES=1300 $(BIN)/python -m pytest tests/test_fuzz.py -n 0 --hypothesis-show-statistics

soak: install
	SOAK=1 $(BIN)/python -m pytest tests/soak.py tests/test_races_of_endings.py tests/test_ended.py tests/test_delegations.py -n 0 -s 2>/dev/null  # where the broken servers complain

upgrade-drill: install
	$(BIN)/python -m pytest tests/drills/upgrade.py -n 0 -s

cluster: install
	$(BIN)/python -m pytest tests/cluster/drill.py -n 0 -s

bench: $(VENV)/run-installed $(PEERS)/simplejwt/installed/done $(PEERS)/better_auth/node_modules/done
	@command -v wrk > /dev/null || { echo "The benchmark needs wrk: apt-get install wrk, or brew install wrk."; exit 1; }
	$(BIN)/python -m dev.bench

$(PEERS)/simplejwt/installed/done: $(PEERS)/simplejwt/requirements.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(PEERS)/better_auth/node_modules/done: $(PEERS)/better_auth/package-lock.json
	@command -v npm > /dev/null || { echo "The benchmark needs Node.js 20 or newer: https://nodejs.org/"; exit 1; }
	cd $(PEERS)/better_auth && npm ci --silent
	@touch $@
