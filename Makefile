# `make demo` and `make test` need python3 (3.11 or newer) and nothing else.
PYTHON ?= python3
TEST_TOOLS = 'pytest<9.2' pytest-xdist
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-quick test-verl docs docs-check setup lint clean constraints licences dist release-check

## demo: train with and without the focal weight, then print where the page is
demo: .venv-demo/.installed
	.venv-demo/bin/fgrpo run maze-small

## test: lint, types and tests, in an environment of their own, and verl's tests in another
test: lint
	.venv/bin/mypy
	.venv/bin/pytest -n 2 --dist loadgroup
	$(MAKE) test-verl

## test-quick: lint, types and the tests that are not marked slow, 90 s on two idle cores
test-quick: lint
	.venv/bin/mypy
	.venv/bin/pytest -n 2 --dist loadgroup -m "not slow"

## test-verl: the tests of the verl integration, whole runs on the CPU among them
test-verl: .venv-verl/.installed
	.venv-verl/bin/pytest -n 2 --dist loadgroup -W default tests/on_verl \
		tests/verify/test_verify_maths.py tests/verify/test_verify_rewards.py

## docs: the documentation as a site, in build/site; a broken link or anchor is an error
docs: .venv/.installed
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

## docs-check: run what the documentation shows, from the installation on, at a size a CPU manages
docs-check: .venv-verl/.installed
	rm -rf .venv-docs build/docs-check
	$(PYTHON) -m venv .venv-docs
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt .venv-docs/bin/python tests/docs_check --install

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
	rm -rf build/pins && mkdir -p build/pins
	$(call pin,constraints.txt,'.[dev]')
	$(call pin,constraints-verl.txt,'.[verl]' $(TEST_TOOLS))
	mv build/pins/constraints*.txt .
	rm -rf .venv-pins

# one file of pins, whole or not at all, from an environment that holds nothing else
define pin
$(PYTHON) -m venv --clear .venv-pins
.venv-pins/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
.venv-pins/bin/python -m pip install --quiet --disable-pip-version-check --editable $(2)
.venv-pins/bin/python -m pip check
.venv-pins/bin/python -m pip freeze --exclude-editable > build/pins/freeze
echo '# Written by `make constraints`; do not edit.' > build/pins/$(1)
sed 's/+cpu$$//' build/pins/freeze | LC_ALL=C sort --ignore-case >> build/pins/$(1)
endef

## licences: write which packages each part installs, and under which licences
licences: .venv/.installed .venv-verl/.installed
	mkdir -p build
	.venv/bin/python tools/licences.py .venv/bin/python .venv-verl/bin/python > build/licences.md
	mv build/licences.md docs/

## dist: the wheel and the sdist, the same bytes wherever they are built
dist: .venv/.installed
	rm -rf dist
	env -u SOURCE_DATE_EPOCH .venv/bin/python -m build --no-isolation

## release-check: try both in empty environments on each Python there is, and list what they bring
release-check: dist .venv-release/.installed
	.venv-release/bin/twine check --strict dist/*
	.venv/bin/python tools/release_check.py dist
	.venv-release/bin/cyclonedx-py environment .venv/bin/python --pyproject pyproject.toml \
		--output-reproducible --output-file dist/development.cdx.json

.venv-release/.installed:
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet --disable-pip-version-check twine cyclonedx-bom
	touch $@

## clean: remove environments, caches and builds; the runs stay
clean:
	rm -rf .venv .venv-demo .venv-docs .venv-pins .venv-release .venv-verl build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
