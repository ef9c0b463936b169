PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install run test test-pgbouncer check fuzz soak bench

install: $(VENV)/installed

$(VENV)/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: install
	@$(BIN)/python -m auth.development

test: install
	$(BIN)/python -m pytest

test-pgbouncer: install
	PGBOUNCER=1 $(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

fuzz: install
	FUZZ_EXAMPLES=1300 $(BIN)/python -m pytest tests/test_fuzz.py -n 0 --hypothesis-show-statistics

soak: install
	SOAK=1 $(BIN)/python -m pytest tests/soak.py tests/test_races_of_endings.py -n 0 -s 2>/dev/null  # where the broken servers complain

bench: install
	$(BIN)/python -m bench
