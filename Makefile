# Every target makes what it needs; nothing has to be installed beforehand but Python.
#   PYTHON=python3.10   the interpreter to use instead of the one that is found
#   VENV=folder         the virtual environment, .venv if not given
#   ARGS="..."          further arguments for pytest or the demo
#   WORKERS=2           processes that share the tests; the slow ones have the machine to themselves
#   MINUTES=10          how long make fuzz goes on
#   DOCS_VENV=folder    the environment that builds the site, .venv-docs if not given

VENV ?= .venv
WORKERS ?= 2
MINUTES ?= 10
DOCS_VENV ?= .venv-docs
RUN = "$(VENV)/bin/python"
# A test that hangs shall be named and end, not hold up the run.
PYTEST = $(RUN) -m pytest --timeout=1200
export VENV PYTHON

.DEFAULT_GOAL := help
.PHONY: help venv install test test-slow test-all fuzz lint format docs demo clean

help:
	@echo 'make demo       the whole chain on generated phantoms: train, evaluate, register, pictures'
	@echo 'make test       the tests, without the slow ones'
	@echo 'make test-slow  the slow tests alone'
	@echo 'make test-all   all tests'
	@echo 'make fuzz       damaged input for MINUTES=10; a violation is shown and kept in fuzz-findings'
	@echo 'make lint       ruff: check the code and its formatting; hadolint: the Dockerfile'
	@echo 'make format     ruff: correct both'
	@echo 'make docs       the documentation as a site, in site/index.html'
	@echo 'make install    only make the virtual environment with every package (also: make venv)'
	@echo 'make clean      delete build products, caches and the output of the demo'

install:
	@sh scripts/bootstrap.sh

venv: install

test: install
	$(PYTEST) -n $(WORKERS) -m "not slow" $(ARGS)

test-slow: install
	$(PYTEST) -m slow $(ARGS)

test-all: test test-slow

fuzz: install
	$(RUN) -m tests.fuzzing $(MINUTES) $(ARGS)

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	if [ -x "$(VENV)/bin/hadolint" ]; then "$(VENV)/bin/hadolint" Dockerfile; fi

format: install
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs:
	@VENV="$(DOCS_VENV)" REQUIREMENTS=requirements-docs.txt sh scripts/bootstrap.sh
	NO_MKDOCS_2_WARNING=1 "$(DOCS_VENV)/bin/python" -m mkdocs build --strict

demo: install
	$(RUN) -m experiments.demo $(ARGS)

clean:
	rm -rf build dist ./*.egg-info demo site .pytest_cache .ruff_cache
	find ldr_tf data experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +
