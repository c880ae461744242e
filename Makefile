# `make` lists what there is. Every target works on a fresh clone, and with an empty environment.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# By -m, not by script: an interpreter line cannot quote every path that a checkout may have.
PGSTEAD := $(BIN)/python -m pgstead
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up down status prove
up: runtime ## bring the server, the pooler and the services to what pgstead.toml says
	@$(PGSTEAD) up --fix

down: runtime ## stop everything; data stays
	@$(PGSTEAD) down

status: runtime ## show what runs, where, and how to connect
	@$(PGSTEAD) status

prove: runtime ## try every promise on the running system
	@$(PGSTEAD) prove

.PHONY: test soak bench bench-app lint-corpus
test: dev ## run the whole suite on real servers; T="-k tls" selects
	@$(PYTEST) -n 3 --dist loadfile $(T)

soak: dev ## run the tests that take long; T selects
	@$(PYTEST) -m soak $(T)

lint-corpus: dev ## print how the lint of migrations fares beside others (bench/lint.py)
	@$(BIN)/python bench/lint.py $(B)

bench: dev ## measure `up`, cold and warm, against its floor (bench/tuned.py: SRV-4)
	@$(BIN)/python bench/up.py . $(B)

bench-app: dev ## measure sessions, row security, encryption and HTTP, each against its floor
	@$(BIN)/python bench/scoped.py
	@$(BIN)/python bench/row_security.py
	@$(BIN)/python bench/encryption.py
	@$(BIN)/python bench/reads_per_second.py

.PHONY: pictures
pictures: dev ## draw the dashboard with faults, light and dark, desk and phone; T is the directory
	@$(BIN)/python tools/screenshots.py $(T)

.PHONY: lint format types contracts dependencies
lint: dev ## check style and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: dev ## format, and mend what can be mended safely
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

types: dev ## check types: strict on src and systems
	@$(BIN)/python -m basedpyright

contracts: dev ## check who imports whom, and that the list of dependencies is honest
	@$(BIN)/python -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo
	@$(BIN)/python -m deptry src systems

.PHONY: runtime dev reference lock clean
runtime:
	@tools/bootstrap runtime

dev:
	@tools/bootstrap dev

reference: dev ## write docs/reference anew from the code
	@$(BIN)/python tools/reference.py

lock: dev ## write the lock files anew from pyproject.toml
	@tools/lock

clean: ## remove .venv and caches; what the stead holds stays (see `pgstead destroy`)
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache .ci-out .pgstead-tests dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
