# make train          set up and train on MovieLens-1M
# make serve          the web app with the run of make train (RUN=runs/mine for another), on this machine
# make test           set up and run every test; test-fast leaves out slow ones, servers and real data
# make coverage       the tests, with a report of the lines they miss
# make lint           ruff, mypy and the order of imports
# make docs           build the site
# make leaderboard    measure everything that docs/results/leaderboard.md shows (hours; ARGS="m1 next-item" for some sections)
# make cold-start     measure everything that docs/results/cold-start.md shows (after "gnnrec features --dataset ml-1m ...")
# make trust          kill, limit, fuzz and repeat everything, as docs/results/trust.md shows (30 minutes; ARGS="--only kill")
# make graph-page     write docs/results/graph.md from what benchmarks/graph_ablation.py measured
# make pages          write these pages, and the pictures, from the results in benchmarks/results (a minute)
# make benchmarks     time a training step, and recommendations (a minute)
# make build          build the wheel and the source distribution
# make dist-check     build both, install each in a new environment outside of the checkout, and use it there (a minute or more)
PYTHON ?= python3
# Training needs little. "make train TORCH=torch" takes the newest PyTorch, on Linux with its CUDA packages.
VENV ?= .venv
TORCH ?= torch<2.14
# Tests, lint and docs need more, and a torchvision (for CLIP) that matches PyTorch: the newest of both, some GB on Linux.
DEV ?= .venv-dev

# The run that make serve shows: the one that was saved last.
RUN ?= $(patsubst %/run.json,%,$(firstword $(shell ls -t runs/*/run.json 2>/dev/null)))

BIN := $(VENV)/bin
DEV_BIN := $(DEV)/bin
PIP := -m pip --disable-pip-version-check --quiet install
# Compiled modules are kept, whatever the environment says: many tests start new processes.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(DEV_BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

.PHONY: train serve test test-fast coverage lint format docs pages leaderboard leaderboard-page cold-start cold-start-page \
	graph-page trust trust-page benchmarks build dist-check clean

train: $(VENV)/.installed
	$(BIN)/python examples/train_ml1m.py $(ARGS)

serve: $(VENV)/.installed
	@$(BIN)/python -c "import fastapi, uvicorn, alembic, multipart, prometheus_client" 2>/dev/null || \
		{ echo "installing what the service needs (once)"; $(BIN)/python $(PIP) -e ".[serve]"; }
	@test -n "$(RUN)" || { echo "no run in runs/: make train first, or make serve RUN=FOLDER"; exit 1; }
	$(BIN)/gnnrec serve "$(RUN)" $(ARGS)

test: $(DEV)/.installed
	$(PYTEST) $(ARGS)

test-fast: $(DEV)/.installed
	$(PYTEST) -m "not slow and not network and not real_data" $(ARGS)

coverage: $(DEV)/.installed
	$(PYTEST) --cov --cov-report=term --cov-report=html --cov-report=xml $(ARGS)
	@echo "open htmlcov/index.html"

lint: $(DEV)/.installed
	$(DEV_BIN)/ruff check .
	$(DEV_BIN)/ruff format --check .
	$(DEV_BIN)/mypy
	$(DEV_BIN)/lint-imports

format: $(DEV)/.installed
	$(DEV_BIN)/ruff check --fix .
	$(DEV_BIN)/ruff format .

docs: $(DEV)/.installed
	$(DEV_BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

leaderboard: $(DEV)/.installed
	$(DEV_BIN)/python docs/_scripts/make_leaderboard.py --run $(ARGS)

leaderboard-page: $(DEV)/.installed
	$(DEV_BIN)/python docs/_scripts/make_leaderboard.py

cold-start: $(DEV)/.installed
	$(DEV_BIN)/python docs/_scripts/make_cold_start.py --run $(ARGS)

cold-start-page: $(DEV)/.installed
	$(DEV_BIN)/python docs/_scripts/make_cold_start.py

trust: $(DEV)/.installed
	$(DEV_BIN)/python -m benchmarks.trust $(ARGS); status=$$?; $(DEV_BIN)/python docs/_scripts/make_trust.py; exit $$status

trust-page: $(DEV)/.installed
	$(DEV_BIN)/python docs/_scripts/make_trust.py

graph-page: $(DEV)/.installed
	$(DEV_BIN)/python docs/_scripts/make_graph.py

pages: leaderboard-page cold-start-page graph-page trust-page
	$(DEV_BIN)/python docs/_scripts/make_pictures.py

benchmarks: $(DEV)/.installed
	$(DEV_BIN)/python benchmarks/bench_speed.py $(ARGS)

build: $(DEV)/.installed
	$(DEV_BIN)/python -m hatchling build

dist-check: $(DEV)/.installed
	.ci/dist-check $(DEV_BIN)/python "$(TORCH)"

# The stamps are written last, so that an interrupted set-up starts again.
$(VENV)/.installed: pyproject.toml
	@echo "setting up $(VENV): PyTorch, PyG and gnnrec (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) "$(TORCH)" -e .
	@touch $@

$(DEV)/.installed: pyproject.toml
	@echo "setting up $(DEV): everything for tests, lint and docs (some minutes and GB, once)"
	$(PYTHON) -m venv $(DEV)
	$(DEV_BIN)/python $(PIP) torch torchvision -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(DEV) build dist docs/_build htmlcov .coverage* coverage.xml .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
