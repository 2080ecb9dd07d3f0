# Everything a newcomer needs is `make demo`; `make help` lists the rest.
# Wants Python 3.11 or 3.12 and nothing else: uv is taken from PATH, or brought into .uv/.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
UV ?= $(shell command -v uv || echo .uv/bin/uv)
UV_VERSION := 0.13.8
BIN := .venv/bin
READY := .venv/.ready
SECONDS_SHOWN ?= 60
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check soak bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv

$(READY): pyproject.toml uv.lock
	@if [ "$(UV)" = ".uv/bin/uv" ] && [ ! -x .uv/bin/uv ]; then \
		echo "bringing uv $(UV_VERSION) into .uv/"; \
		"$(PYTHON)" -m venv .uv && .uv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); \
	fi
	"$(UV)" sync --frozen --extra embedded --python "$(PYTHON)" --quiet
	@$(BIN)/python -m headgate.first_compile
	@touch $(READY)

demo: $(READY) ## everything embedded, a simulated world, a live view
	$(BIN)/headgate demo --seconds $(SECONDS_SHOWN) $(ARGS)

test: $(READY) ## all tests but the soak
	$(BIN)/python -m pytest -m "not soak" $(ARGS)

check: $(READY) ## style, types, who may import whom, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house $(ARGS)

soak: $(READY) ## the long proofs: a thousand kills
	$(BIN)/python -m pytest -m soak --timeout 7200 $(ARGS)

bench: $(READY) ## throughput, commit, recovery, latency on this machine
	$(BIN)/headgate bench flow --json $(ARGS)
	$(BIN)/headgate bench commit --json
	$(BIN)/headgate bench recovery --json
	$(BIN)/headgate bench latency --json
