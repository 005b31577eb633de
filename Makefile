# `make` alone prints what there is. Everything lives in .venv; nothing outside the checkout is touched.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export UV_NO_PROGRESS := 1
# Keep what Python compiles, whatever the machine's setting: importing Dagster anew takes each process two seconds.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test unit browser faults spark soak lint bench docs dev lock clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.ready ## Make .venv with everything pinned (uv if it is there, else bootstrapped by pip)

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@uv=$$(command -v uv || echo $(BIN)/uv); \
		$$uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
		$$uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Run the whole pipeline on the bundled sample company and show the answers
	@$(BIN)/apportion demo

test: setup ## Run the tests (at most 6 minutes)
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

unit: setup ## Run the quick tests only (at most a minute)
	$(BIN)/pytest -m "not soak and not spark and not faults and not browser and not pipeline" -n auto --dist worksteal

browser: setup ## Run the tests of the dashboard and the review page in Chromium, installed where there is none (a minute)
	$(BIN)/pytest -m browser -n auto --dist loadfile

faults: setup ## Run the tests of kills, full disks, two runs at once, and 200 damaged files for each reader (two minutes)
	$(BIN)/pytest -m faults -n auto

spark: setup ## Run the tests of Spark on a cluster of processes (at most two minutes)
	$(BIN)/pytest -m spark tests/pipelines/ledger

soak: setup ## Run the unbounded tests: kills, full disks (as root), fuzzing
	$(BIN)/pytest -m soak

lint: setup ## Check style, types, architecture and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --disable-progress-bar dbt_like_sql pipelines/reports/queries

bench: setup ## Measure load and memory as ratios to a floor in the same run; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/load.py

docs: setup ## Build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dev: setup ## Open the Dagster UI on ./apportion.yaml (or APPORTION_CONFIG)
	@$(BIN)/apportion dev

lock: setup ## Pin all dependencies anew
	$$(command -v uv || echo $(BIN)/uv) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --upgrade -o requirements.lock

clean: ## Remove what make and the demo wrote
	rm -rf .venv demo build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
