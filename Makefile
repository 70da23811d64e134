# `make demo` and `make test` need python3 (3.11 or newer) and nothing else.
PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test docs-check setup lint clean constraints

## demo: train with and without the focal weight, then print where the page is
demo: .venv-demo/.installed
	.venv-demo/bin/fgrpo run maze-small

## test: lint, types and tests, in an environment of their own
test: lint
	.venv/bin/mypy
	.venv/bin/pytest -n 2 --dist loadgroup

## docs-check: run what docs/trl.md shows, from the installation on, at a size a CPU manages
docs-check:
	rm -rf .venv-docs build/docs-check
	$(PYTHON) -m venv .venv-docs
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt .venv-docs/bin/python tests/docs_check.py build/docs-check

## setup: the environment for development
setup: .venv/.installed

lint: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP_INSTALL) --editable '.[dev]'
	touch $@

.venv-demo/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP_INSTALL) --editable '.[lab]'
	touch $@

## constraints: write the versions of a real install, torch first so that it is not upgraded
constraints:
	$(PYTHON) -m venv --clear .venv-pins
	.venv-pins/bin/python -m pip install --quiet torch==2.13.0
	.venv-pins/bin/python -m pip install --quiet --editable '.[dev]'
	.venv-pins/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -rf .venv-pins

## clean: remove environments, caches and builds; the runs stay
clean:
	rm -rf .venv .venv-demo .venv-docs .venv-pins build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
