# make train   set up and train on MovieLens-1M      make test   set up and run every test
# make lint    ruff and mypy                         make docs   build the documentation
# make leaderboard         measure all that docs/leaderboard.md shows (hours; ARGS="m1 next-movie" for some sections)
# make leaderboard-page    write that page from the results that are there (a second)
PYTHON ?= python3
VENV ?= .venv
# A CPU is enough. "make train TORCH=torch" takes the newest PyTorch, on Linux with its CUDA packages.
TORCH ?= torch<2.14

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: train test lint docs leaderboard leaderboard-page clean

train: $(VENV)/.installed
	$(BIN)/python examples/train_ml1m.py $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

leaderboard: $(VENV)/.installed-dev
	$(BIN)/python docs/make_leaderboard.py --run $(ARGS)

leaderboard-page: $(VENV)/.installed-dev
	$(BIN)/python docs/make_leaderboard.py

# The stamps are written last, so that an interrupted set-up starts again.
$(VENV)/.installed: pyproject.toml
	@echo "setting up $(VENV): PyTorch, PyG and gnnrec (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "$(TORCH)" -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "adding what tests, lint and docs need"
	$(PIP) install "$(TORCH)" -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
