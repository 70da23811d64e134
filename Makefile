# `make demo` and `make test` need python3 (3.11 or newer) and nothing else.
PYTHON ?= python3
TEST_TOOLS = 'pytest<9.2' pytest-xdist
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-verl docs-check setup lint clean constraints

## demo: train with and without the focal weight, then print where the page is
demo: .venv-demo/.installed
	.venv-demo/bin/fgrpo run maze-small

## test: lint, types and tests, in an environment of their own, and verl's tests in another
test: lint
	.venv/bin/mypy
	.venv/bin/pytest -n 2 --dist loadgroup
	$(MAKE) test-verl

## test-verl: the tests of the verl integration, whole runs on the CPU among them
test-verl: .venv-verl/.installed
	.venv-verl/bin/pytest -n 2 --dist loadgroup -W default tests/on_verl \
		tests/verify/test_verify_maths.py tests/verify/test_verify_rewards.py

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

.venv-verl/.installed: pyproject.toml constraints-verl.txt
	$(PYTHON) -m venv .venv-verl
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints-verl.txt --editable '.[verl]' $(TEST_TOOLS)
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
	$(PYTHON) -m venv --clear .venv-pins
	.venv-pins/bin/python -m pip install --quiet torch==2.13.0
	.venv-pins/bin/python -m pip install --quiet --editable '.[verl]' $(TEST_TOOLS)
	.venv-pins/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints-verl.txt
	rm -rf .venv-pins

## clean: remove environments, caches and builds; the runs stay
clean:
	rm -rf .venv .venv-demo .venv-docs .venv-pins build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
