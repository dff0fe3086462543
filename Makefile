# make train   set up and train on MovieLens-1M      make test   set up and run every test
# make lint    ruff and mypy                         make docs   build the documentation
# make leaderboard         measure all that docs/leaderboard.md shows (hours; ARGS="m1 next-movie" for some sections)
# make leaderboard-page    write that page from the results that are there (a second)
# make cold-start, make cold-start-page    likewise for docs/cold-start.md (after "gnnrec features --dataset ml-1m ...")
PYTHON ?= python3
# Training needs little. "make train TORCH=torch" takes the newest PyTorch, on Linux with its CUDA packages.
VENV ?= .venv
TORCH ?= torch<2.14
# Tests, lint and docs need more, and a torchvision (for CLIP) that fits PyTorch: the newest of both, some GB on Linux.
DEV ?= .venv-dev

BIN := $(VENV)/bin
DEV_BIN := $(DEV)/bin
PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: train test lint docs leaderboard leaderboard-page cold-start cold-start-page clean

train: $(VENV)/.installed
	$(BIN)/python examples/train_ml1m.py $(ARGS)

test: $(DEV)/.installed
	OMP_NUM_THREADS=1 $(DEV_BIN)/python -m pytest --numprocesses 2 --dist loadscope $(ARGS)

lint: $(DEV)/.installed
	$(DEV_BIN)/ruff check .
	$(DEV_BIN)/ruff format --check .
	$(DEV_BIN)/mypy

docs: $(DEV)/.installed
	$(DEV_BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

leaderboard: $(DEV)/.installed
	$(DEV_BIN)/python docs/make_leaderboard.py --run $(ARGS)

leaderboard-page: $(DEV)/.installed
	$(DEV_BIN)/python docs/make_leaderboard.py

cold-start: $(DEV)/.installed
	$(DEV_BIN)/python docs/make_cold_start.py --run $(ARGS)

cold-start-page: $(DEV)/.installed
	$(DEV_BIN)/python docs/make_cold_start.py

# The stamps are written last, so that an interrupted set-up starts again.
$(VENV)/.installed: pyproject.toml
	@echo "setting up $(VENV): PyTorch, PyG and gnnrec (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) "$(TORCH)" -e .
	@touch $@

$(DEV)/.installed: pyproject.toml
	@echo "setting up $(DEV): all that tests, lint and docs need (some minutes and GB, once)"
	$(PYTHON) -m venv $(DEV)
	$(DEV_BIN)/python $(PIP) torch torchvision -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(DEV) docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
