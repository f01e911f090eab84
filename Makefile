# Two commands: `make run` and `make test`. Both install first, into .venv, with Python 3.11 to 3.13 and make alone.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
KILLS ?= 500
REQUESTS ?= 120000
STREAMS ?= 2000
MINUTES ?= 30

.DEFAULT_GOAL := help
.PHONY: help install run conformance mcpb test lint bench proof skill examples client constraints wheel clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST)

install: .venv/.installed ## make .venv with everything

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt pip uv hatchling editables
	@# On Linux the ordinary wheel of torch brings gigabytes of CUDA: the CPU build first, the ordinary one where it is out of reach.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu torch==$(TORCH) || $(PIP) install torch==$(TORCH)
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[learn,feeds,scale,dev]'
	@touch $@

run: install ## start the server with the sample market
	$(BIN)/barograph serve --sample --data var/sample

conformance: install ## software that others wrote judges the MCP door
	$(BIN)/python -m tests.conformance.run

mcpb: install ## the bundle for desktop agents, in dist/
	$(BIN)/python -m bundle.build

test: install ## the whole suite
	$(BIN)/python -m pytest -n auto

lint: install ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

skill: install ## how good the answers are, on years that nothing was tuned on; writes the tables of docs/ (needs BAROGRAPH_MARKET_DATA)
	$(BIN)/python -m benchmarks.skill

bench: install ## speed, as ratios measured in one run
	$(BIN)/python -m benchmarks.first_answer
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.latency --models
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.gate_cost
	$(BIN)/python -m benchmarks.tool_growth
	$(BIN)/python -m benchmarks.fresh_curve

proof: install ## the long proofs
	$(BIN)/python -m benchmarks.kill_nine --kills $(KILLS)
	$(BIN)/python -m benchmarks.owner_race
	$(BIN)/python -m benchmarks.restart
	$(BIN)/python -m benchmarks.beside
	$(BIN)/python -m benchmarks.dirty_streams --streams $(STREAMS)
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)
	$(BIN)/python -m benchmarks.fuzz --requests $(REQUESTS)
	$(BIN)/python -m benchmarks.stranger
	$(BIN)/python -m benchmarks.examples

examples: install ## run the examples, each in an environment of its own (NAME=langchain for one)
	$(BIN)/python -m benchmarks.examples $(NAME)

client: install ## write the client's types anew, after the contract of a tool has changed
	$(BIN)/python -m tests.client_types

constraints: ## pin what is installed now
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' | grep -vi '^barograph' > constraints.txt

wheel: install ## the wheel, in dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## forget .venv and everything built
	rm -rf .venv dist build var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
