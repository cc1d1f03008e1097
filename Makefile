# Every command that people, hooks and CI run. `make demo` and `make test` need nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Build tools are pinned too.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
SOURCES := preprocess annotate search indexer api tests benchmarks training demo docs

.PHONY: demo test check format lint types layers docs docs-write page page-check bench constraints clean help

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Set up, index real photos, ask them, and write demo/index.html
	$(BIN)/python demo/make.py

test: check ## Set up, check, and run all tests
	tests/system_packages.sh
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: format lint types layers docs ## All checks but the tests

format: $(VENV)/.dev ## Is the code formatted?
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.dev ## Lint
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev ## Types
	$(BIN)/mypy

layers: $(VENV)/.dev ## Does every import keep the line of packages?
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.dev ## Are the generated pages fresh, and does the site build?
	$(BIN)/python docs/make_cli.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs-write: $(VENV)/.dev ## Write the generated pages anew
	$(BIN)/python docs/make_cli.py

page: $(VENV)/.dev ## Build the page from its sources; needs npm, and only who changes it needs it
	$(BIN)/python api/web/dev/schemas.py > api/web/schemas.json
	cd api/web && npm ci && npm run types && npm run build

page-check: $(VENV)/.dev ## Is the page that is kept what its sources build? Needs npm
	$(BIN)/python api/web/dev/schemas.py | cmp - api/web/schemas.json
	cd api/web && { test -d node_modules || npm ci; } && npm run check

bench: $(VENV)/.dev ## Speed and memory, side by side in one run
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/encode.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/dehaze.py
	$(BIN)/python benchmarks/nearest.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/index.py
	$(BIN)/python benchmarks/segment.py
	$(BIN)/python benchmarks/regions.py
	$(BIN)/python benchmarks/tags.py
	$(BIN)/python benchmarks/duplicates.py
	$(BIN)/python benchmarks/region_search.py
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/endure.py

constraints: $(VENV)/.dev ## Write the installed versions to constraints.txt
	echo '# Exact versions that every install command uses (pip install -c constraints.txt ...). Made by `make constraints`.' > constraints.txt
	$(BIN)/python -m pip freeze --all --exclude-editable --disable-pip-version-check | grep -viE '^(nvidia|cuda|triton|pip=|wheel=)' >> constraints.txt

clean: ## Remove what the targets made
	rm -rf $(VENV) build site *.egg-info demo/photos demo/library demo/index.html .pytest_cache .mypy_cache .ruff_cache .hypothesis
