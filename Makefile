# One command each. Every target builds the virtual environment first, if it is not up to date.
.DEFAULT_GOAL := help
.PHONY: help demo up test faults fuzz check audit docs bench bench-deid screenshots format lock env system

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AUDIT := $(BIN)/pip-audit --strict --disable-pip --progress-spinner off

help: ## Show this help.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: $(STAMP) ## Move studies between two archives, visible in the dashboard (ONCE=1 ends by itself).
	$(BIN)/python -m deployments.demo $(if $(ONCE),--once)

up: $(STAMP) ## Start Prefect, the dashboard and a worker on this machine.
	$(BIN)/python -m deployments.up

test: $(STAMP) system ## Run the whole test-suite, or what ARGS names of it.
	$(BIN)/python -m $(if $(ARGS),pytest $(ARGS),tests.side_by_side)

.PHONY: docs
docs: $(STAMP) ## Build the documentation into site/, for any web server.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
# Links and anchors that lead nowhere, pages that nothing leads to, and requests to other hosts end it.
check: docs

faults: $(STAMP) system ## Break everything that can be broken, and write what came of it into docs/reliability.md.
	ADIT_ALL_FAULTS=1 $(BIN)/pytest tests/faults tests/e2e/test_no_patient_data.py $(ARGS)

fuzz: $(STAMP) system ## Send the API much more of what it does not expect than `make test` does.
	ADIT_FUZZ_EXAMPLES=100 $(BIN)/pytest tests/integration/api/test_schema.py $(ARGS)

check: $(STAMP) ## Lint, look for insecure code, check types and the direction of imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile .bandit.yaml adit_core deployments flows ui
	$(BIN)/hadolint deployments/Dockerfile .devcontainer/Dockerfile
	$(BIN)/pyright

audit: $(STAMP) ## Ask PyPI for known vulnerabilities of what the lock files name; needs the internet.
	@# First of all for one that it has to know: where it cannot be reached, or a mirror knows of none, all would be well.
	@echo requests==2.19.0 | $(AUDIT) --no-deps -r /dev/stdin 2>/dev/null | grep -q "^requests *2\.19\.0" || { \
		echo "Nothing was audited: here nobody knows of vulnerabilities. Do it where pypi.org can be reached." >&2; exit 1; }
	@for file in requirements/*.txt; do \
		echo "$$file:" && $(AUDIT) --require-hashes -r "$$file" || failed=1; \
	done; exit $${failed:-0}

bench: $(STAMP) system ## Measure against DCMTK and plain pynetdicom in the same run.
	$(BIN)/python -m tests.bench $(ARGS)

bench-deid: $(STAMP) system ## Score de-identification against dicognito and dicom-anonymizer.
	$(BIN)/python -m tests.bench.deid $(ARGS)

screenshots: $(STAMP) system ## Take the pictures of all pages anew that are in docs/screenshots.
	mkdir -p docs/screenshots
	ADIT_SCREENSHOTS=$(CURDIR)/docs/screenshots $(BIN)/pytest tests/e2e/test_pages.py $(ARGS)

format: $(STAMP) ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

env: $(STAMP) ## Build the virtual environment.

system: ## Install the system packages that tests need (Debian, as root; else says which).
	deployments/install-system-packages.sh

lock: ## Write exact versions with hashes from the ranges in pyproject.toml.
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml --extra server -o requirements/server.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml --extra server --group dev -o requirements/dev.txt
	echo uv | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header - -o requirements/uv.txt
	echo adit-client | $(BIN)/uv pip compile -q --python-version 3.12 --no-deps --generate-hashes --no-emit-index-url \
		--no-header - -o requirements/adit-client.txt

$(STAMP): requirements/dev.txt requirements/uv.txt requirements/adit-client.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync -q --require-hashes --compile-bytecode --python $(BIN)/python requirements/dev.txt requirements/uv.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps --ignore-requires-python \
		-r requirements/adit-client.txt
	$(BIN)/uv pip install -q --no-deps --no-build-isolation --python $(BIN)/python -e .
	$(BIN)/python -m compileall -q adit_core flows deployments ui tests
	touch $@
