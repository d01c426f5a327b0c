# Each target installs what it needs first; `make demo` and `make test` work as the very first command.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
UV := .uv/bin/uv
PASSERBY := $(BIN)/passerby
# A GPU build of torch is what the package index offers; its wheels are large, so retry slow downloads.
export UV_HTTP_TIMEOUT ?= 600

.DEFAULT_GOAL := help
.PHONY: help demo test check bench requirements clean

help:  ## Show this help
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: pyproject.toml requirements.txt scripts/prove_install.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "passerby needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(UV) || $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python scripts/prove_install.py
	@touch $@

demo: .venv/.ready  ## Draw people, train on them, evaluate, predict, write demo/report.html
	rm -rf demo
	$(PASSERBY) synth --out demo/people --count 8000 --height 128 --width 96 --difficulty 0.15 --workers 2
	$(PASSERBY) prepare table --root demo/people --out demo/people.parquet --no-check-images
	$(PASSERBY) train recipes/baseline/demo.yaml --out demo/run
	$(PASSERBY) evaluate demo/run/bundle --data demo/people.parquet --out demo/test
	$(PASSERBY) synth --out demo/strangers --count 8 --seed 2026 --views 1
	$(PASSERBY) predict demo/run/bundle demo/strangers/images
	$(PASSERBY) report demo/run demo/test --out demo/report.html
	@echo "Open demo/report.html in a browser."

test: .venv/.ready  ## Run the tests (with PASSERBY_DATA set, also those on real data)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: .venv/.ready  ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.ready  ## Measure speed and size, as ratios against named alternatives
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/loader.py
	$(BIN)/python benchmarks/resident.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/synthetic.py
	$(BIN)/python benchmarks/systems.py

requirements: .venv/.ready  ## Pin anew what the project's ranges allow today
	$(UV) pip compile --quiet --universal --python-version 3.11 --group dev --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt

clean:  ## Remove what the other targets made
	rm -rf .venv .uv demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
