# Two targets are all that a stranger needs: `make demo` and `make test`.  Both set everything up first.
# Nothing is installed outside of $(VENV); root is never needed.

SHELL      := /bin/bash
VENV       ?= .venv
BIN        := $(VENV)/bin
SOURCES    := router rollout discovery control demo
STAMP      := $(VENV)/.set-up
IMAGE      ?= strangler:dev
DEMO_ARGS  ?=
BENCH_ARGS ?=
TEST_ARGS  ?= -n 2 --dist loadfile

# The first interpreter that is new enough, unless PYTHON says which; none found is said in `setup`, in plain words.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
endif

.DEFAULT_GOAL := help
.PHONY: help setup twins demo test check format unit bench image reference lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## a virtual environment with exactly the locked packages, and this project in it

$(STAMP): requirements-dev.lock pyproject.toml
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(NEW_ENOUGH)'; then \
		echo "strangler needs Python 3.11 or newer; found: $$(python3 --version 2>&1 || echo none)."; \
		echo "Install one (Debian/Ubuntu: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12 ..."; \
		exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) cannot make virtual environments (Debian/Ubuntu: apt-get install python3-venv)."; exit 1; fi
	@echo "setting up $(VENV) with $$($(PYTHON) --version) ..."
	@test -x $(BIN)/python && $(BIN)/python -c '$(NEW_ENOUGH)' || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

twins: setup ## the compiled hot path, built anew when its sources have changed; plain Python without a C compiler
	@$(BIN)/python tools/compile_hot_path.py 2>/dev/null

demo: twins ## a legacy shop, two new services and the router on this machine, with traffic; Ctrl-C ends it
	@exec $(BIN)/strangler demo --config routes.yaml $(DEMO_ARGS)

test: check unit ## everything that a change must pass

check: setup ## the static part: format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## format, and mend what the linter can mend by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

unit: twins ## the tests alone; TEST_ARGS='-k name' for some of them
	$(BIN)/pytest $(TEST_ARGS)

bench: twins ## the router against every peer found on this machine
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[bench]'
	$(BIN)/python -m bench $(BENCH_ARGS)

reference: setup ## docs/reference anew, from the code
	$(BIN)/python tools/make_reference.py

image: ## the container image
	docker build --tag $(IMAGE) .

lock: ## both lock files anew, from pyproject.toml
	@test -x $(VENV)-lock/bin/uv || { $(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv; }
	$(VENV)-lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
		--upgrade --custom-compile-command 'make lock' pyproject.toml --output-file requirements.lock
	$(VENV)-lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
		--upgrade --custom-compile-command 'make lock' --extra dev --constraint requirements.lock pyproject.toml \
		--output-file requirements-dev.lock

clean: ## what `setup` and the tools have left
	rm -rf $(VENV) $(VENV)-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
