# One line a target; CI calls the same targets. `make check` is the whole gate, `make demo` the whole way of a capture.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/.stamp
SOURCES := agent collector config hashes tests tools docs
SPELL := $(SOURCES) README.md SECURITY.md CHANGELOG.md CONTRIBUTING.md pyproject.toml Makefile
.PHONY: help setup check lint types walls test cover docs reference verifier fix wheel demo faults bench clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '  make %-10s %s\n' "$$t" "$$d"; done

setup: $(STAMP)  ## the environment in .venv, from uv.lock
$(STAMP): pyproject.toml uv.lock tools/setup.sh
	tools/setup.sh $(PYTHON)
	@touch $@

check: lint types walls test docs  ## the whole gate

lint: setup  ## form, rules, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell $(SPELL)

types: setup  ## mypy, strict
	$(BIN)/mypy

walls: setup  ## who may import whom
	$(BIN)/lint-imports

test: setup  ## the tests, but for the long campaigns; T=path::name for some
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow" $(T)

# What runs in processes of its own (captures, the collector) is not counted: those start with an empty environment.
cover: setup  ## the tests again, with branch coverage
	$(BIN)/coverage run -m pytest $(T)
	$(BIN)/coverage report --fail-under=75
	$(BIN)/coverage report --include='*/hozen_hashes/*' --fail-under=93
	$(BIN)/coverage report --include='*/hozen_config/*' --fail-under=100

docs: setup  ## the pages, without a single warning
	$(BIN)/sphinx-build -n -T -W -q -b html docs docs/_build/html

reference: setup  ## write the generated reference pages anew
	$(BIN)/python tools/reference.py

verifier: setup  ## write the offline verifier page anew
	$(BIN)/python tools/verifier_page.py

fix: setup  ## form and what ruff mends itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: setup  ## build the wheel and try it without the tree
	tools/wheel.sh

demo: setup  ## capture this host, push, receipt, verify twice
	tools/demo.sh

faults: setup  ## the long campaigns: kill -9, power cut, mediums, sizes
	$(BIN)/pytest -m slow $(T)

bench: setup  ## the floors, as ratios to stock tools
	$(BIN)/python tests/bench/run.py $(T)

clean:  ## everything that can be made again
	rm -rf .build .venv docs/_build dist
