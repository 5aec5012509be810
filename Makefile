# make demo    train with differential privacy on real data, audit, write demo-output/report.html
# make test    the whole test suite
# make check   format, lint, types, import directions
# make bench   every benchmark, beside its peer
# make clean   remove .venv, demo-output and caches
#
# Each target first makes .venv. Needed beforehand: Python 3.11 or newer, make, git.
# Another Python: make PYTHON=/path/to/python3.12 demo

OLDEST := (3, 11)
IS_NEW := import sys, venv, ensurepip; sys.exit(sys.version_info[:2] < $(OLDEST))
FOUND := $(shell for it in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$it -c '$(IS_NEW)' >/dev/null 2>&1 && echo $$it && break; done)
PYTHON ?= $(or $(FOUND),python3)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DECLARED := constraints.txt requirements-dev.txt $(wildcard */pyproject.toml plugins/*/pyproject.toml)

# Test processes. A file stays in one of them, so that what it trains for its tests is trained once.
JOBS ?= 2

.PHONY: help demo test check bench clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(READY)
	@echo "==> demo: train, audit and report, into demo-output"
	@$(BIN)/verticals demo --out demo-output

test: $(READY)
	@echo "==> test: the whole suite in $(JOBS) processes"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)
	@echo "==> check: format"
	@$(BIN)/ruff format --check --quiet .
	@echo "==> check: lint"
	@$(BIN)/ruff check --quiet .
	@echo "==> check: types"
	@$(BIN)/mypy
	@echo "==> check: import directions"
	@$(BIN)/lint-imports

# student_quality.py only runs others of these.
bench: $(READY)
	@for script in $(filter-out benchmarks/student_quality.py,$(wildcard benchmarks/*.py)); do \
		echo "==> bench: $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find sdk compliance plugins examples tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew, or brought up to date, whenever a file that declares a dependency is newer.
$(READY): $(DECLARED)
	@$(PYTHON) -c '$(IS_NEW)' >/dev/null 2>&1 || { \
		echo "error: Python 3.11 or newer with venv is needed, and '$(PYTHON)' is $$($(PYTHON) -c \
		'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>/dev/null || echo absent)." \
		"Try: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "==> 1/2 making $(VENV) with $$($(PYTHON) --version 2>&1)"; \
		$(PYTHON) -m venv --clear $(VENV); }
	@echo "==> 2/2 installing what requirements-dev.txt names (the first time some GB, with torch)"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-compile -r requirements-dev.txt
	@touch $(READY)
