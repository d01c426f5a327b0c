# Each target installs what it needs first; `make demo` and `make test` work as the very first command.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
UV := .uv/bin/uv
PASSERBY := $(BIN)/passerby
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto
# Tests that `make test` runs; `make test-all` runs all.
FAST ?= not (slow or gpu or browser or realdata)
# The package index offers the GPU build of torch, whose wheels are large: allow slow downloads.
export UV_HTTP_TIMEOUT ?= 600

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check docs bench release-check requirements clean

help:  ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: pyproject.toml requirements.txt scripts/check_install.py src/passerby/_version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "passerby needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(UV) || $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv
	@test -x $(BIN)/pip || $(UV) venv --quiet --seed --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python scripts/check_install.py
	@touch $@

demo: .venv/.ready  ## Draw people, train on them, evaluate, predict, write demo/report.html
	rm -rf demo
	$(PASSERBY) synth --out demo/people --count 8000 --height 128 --width 96 --difficulty 0.15 --workers 2
	$(PASSERBY) prepare table --root demo/people --out demo/people.parquet --no-check-images
	$(PASSERBY) train recipes/baseline/demo.yaml --out demo/run
	$(PASSERBY) evaluate demo/run/bundle --data demo/people.parquet --out demo/test
	$(PASSERBY) synth --out demo/new --count 8 --seed 2026 --views 1
	$(PASSERBY) predict demo/run/bundle demo/new/images
	$(PASSERBY) report demo/run demo/test --out demo/report.html
	@echo "Open demo/report.html in a browser."

test: .venv/.ready  ## Run the fast tests, about five minutes on two CPU cores
	$(PYTEST) -m "$(FAST)"

test-all: .venv/.ready  ## Run all tests (those on real data need PASSERBY_DATA)
	$(PYTEST)

check: .venv/.ready  ## Check style, types, layers and the GitHub workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

docs: .venv/.ready  ## Build the documentation site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/.ready  ## Measure speed and size, as ratios against named alternatives
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/loader.py
	$(BIN)/python benchmarks/device_cache.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/synthetic.py
	$(BIN)/python benchmarks/models.py

release-check: .venv/.ready  ## Build sdist and wheel in dist/, check, install and try them; upload nothing
	$(BIN)/python scripts/check_release.py --uv $(UV) --train

requirements: .venv/.ready  ## Pin the dependencies of pyproject.toml in requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --group dev --group docs --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt

clean:  ## Remove the files that the other targets wrote
	rm -rf .venv .uv demo dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
