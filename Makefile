# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The parts are targets of their own; each installs what it needs, and says why when it must skip.

SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
TOOLS := tests/tools
OUTPUT := tests/output
# Tests are written to run side by side.
JOBS ?= 2
PYTEST = ANSIBLE_COLLECTIONS_PATH= $(BIN)/python -m pytest -p no:cacheprovider
SECONDS ?= 600
PARTS ?= lint unit service packaging demo integration versions interop lab
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help venv venv-demo venv-test venv-lint venv-fuzz venv-collections demo test lint fuzz bench bench-modules \
    build docs clean \
    test-unit test-service test-packaging test-integration test-versions test-interop test-demo test-lab

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

venv: venv-lint ## .venv with all tools, from the pinned requirements
venv-demo venv-test venv-lint venv-fuzz venv-collections: venv-%:
	@$(TOOLS)/venv $*

demo: venv-demo ## two servers exchange messages through an edge on this machine
	@tests/demo/run

test: venv-test ## everything (PARTS="unit service" for some of it)
	@$(BIN)/python $(TOOLS)/parts.py $(PARTS)

lint: venv-lint ## style, types, documentation, and what the Galaxy would say
	@PATH="$(BIN):$$PATH" $(BIN)/python $(TOOLS)/lint.py $(STEPS)

test-unit: venv-test venv-collections ## modules and what they are made of (as root also with Pebble, an ACME CA)
	@$(TOOLS)/apt pebble bind9 || [ $$? -eq 3 ]
	@$(PYTEST) -n $(JOBS) tests/unit

test-service: venv-test ## the proxy against scripted peers, and these against each other
	@$(PYTEST) -n $(JOBS) tests/service tests/peers

test-packaging: venv-test venv-collections ## the built collection, its documentation and this README (as root also with a directory)
	@$(TOOLS)/apt slapd python3-ldap bind9 || [ $$? -eq 3 ]
	@$(PYTEST) -n $(JOBS) tests/packaging

test-integration: venv-test ## ansible-test integration (as root also on BIND and Knot)
	@$(TOOLS)/apt bind9 knot || [ $$? -eq 3 ]
	@PATH="$(BIN):$$PATH" $(BIN)/python $(TOOLS)/integration.py

test-versions: venv-test venv-collections ## the same with other versions of ansible-core (STEPS="unit packaging sanity integration" for all)
	@$(TOOLS)/apt pebble bind9 knot slapd python3-ldap || [ $$? -eq 3 ]
	@$(BIN)/python $(TOOLS)/versions.py $(STEPS)

test-interop: venv-test ## the proxy against real servers and TLS scanners (needs root to install them)
	@$(TOOLS)/apt prosody lua-unbound ejabberd jabberd2 sslscan testssl.sh || [ $$? -eq 3 ]
	@$(PYTEST) tests/interop

test-demo: venv-test ## the demo, twice
	@$(PYTEST) tests/demo

test-lab: venv-test ## playbooks over SSH on Debian hosts under systemd (needs root and namespaces)
	@$(PYTEST) -s tests/lab

fuzz: venv-fuzz ## hostile input for the parser and the stream machines (SECONDS=600 over all TARGETS)
	@$(BIN)/python -m tests.fuzz $(SECONDS) $(TARGETS)

bench: venv-test ## the measurements of docs/performance.md
	@$(TOOLS)/apt prosody lua-unbound || [ $$? -eq 3 ]
	@$(PYTEST) -s tests/benchmark

bench-modules: venv-test venv-collections ## the modules with 1 to 10,000 objects, beside a loop and modules of others
	@$(PYTEST) -s tests/benchmark/test_modules.py tests/benchmark/test_modules_table.py

build: venv-demo ## the collection's tarball, in build/
	@$(BIN)/ansible-galaxy collection build --force --output-path build

docs: venv-test ## write the generated parts of the READMEs and of docs/security.md
	@$(BIN)/python $(TOOLS)/readme.py --write
	@$(BIN)/python $(TOOLS)/security.py --write

clean: ## remove what was built
	rm -rf build collections $(OUTPUT) .mypy_cache .ruff_cache .pytest_cache
