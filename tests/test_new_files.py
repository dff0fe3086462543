"""A new file in the package is all that a built-in encoder, loss, metric, model, ..., finding or command needs.

The definitions of `tests/helpers/plugin.py` are put into a copy of the package, each into a file of its own.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gnnrec
from gnnrec import registry
from gnnrec.registry import (
    DATASETS,
    ENCODERS,
    FEATURE_ENCODERS,
    FINDINGS,
    HISTORY_FORMATS,
    LOSSES,
    METADATA_PROVIDERS,
    METRICS,
    MODELS,
    PROTOCOLS,
    SPLITTERS,
    USER_FEATURES,
)
from tests.helpers.cli import cells

SOURCE = Path(__file__).parent / "helpers" / "plugin.py"
FILES = {
    "nn/mean.py": ["MeanEncoderConfig", "MeanEncoder"],
    "nn/hinge.py": ["hinge"],
    "evaluation/first_hit.py": ["first_hit"],
    "models/counts_power.py": ["Counts", "FittedCounts"],
    "datasets/blocks.py": ["blocks"],
    "splitting/every.py": ["every"],
    "splitting/fives.py": ["plugin-fives"],
    "features/encoders/length.py": ["LengthEncoder"],
    "explore/a_titles.py": ["titles"],
    "user_features/tenure.py": ["Tenure"],
    "datasets/histories/plugin.py": ["read_plugin"],
    "metadata/shelf.py": ["Shelf"],
}
COMMAND = '''
"""``gnnrec hello``."""

from gnnrec.cli._output import say


def hello(name: str) -> None:
    """Greet somebody."""
    say(f"hello {name}")
'''
APPENDED = {
    "nn/losses.py": """

@register_loss("zero")
def zero(user_embeddings, movie_embeddings, observed, supervision, generator=None):
    return 0 * user_embeddings.sum()
""",
    "evaluation/metrics.py": """

@register_metric("second_hit")
def second_hit(hits, num_relevant):
    return hits[:, 1].float()


@register_metric("third_hit", default=False)
def third_hit(hits, num_relevant):
    return hits[:, 2].float()
""",
}


def definitions() -> tuple[dict[str, str], dict[str, str]]:
    """Return the imports of the plugin by the names that they bind, and the source of each definition by its name."""
    imports: dict[str, str] = {}
    found: dict[str, str] = {}
    for node in ast.parse(SOURCE.read_text()).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                node.names = [alias]
                imports[alias.asname or alias.name.partition(".")[0]] = ast.unparse(node)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = ast.unparse(node)
        elif "register_" in ast.unparse(node):  # a call: register_protocol("name")(...)
            found[ast.literal_eval(node.value.func.args[0])] = ast.unparse(node)  # type: ignore[attr-defined]
    return imports, found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the copy of the package."""
    home = tmp_path_factory.mktemp("home")
    package = home / "gnnrec"
    shutil.copytree(Path(gnnrec.__file__).parent, package)  # with compiled files, which need not be made again
    imports, found = definitions()
    assert sorted(found) == sorted(name for names in FILES.values() for name in names)
    for file, names in FILES.items():
        assert not (package / file).exists()
        text = "\n\n".join(found[name] for name in names)
        used = {"annotations", *(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name))}
        lines = [line for name, line in imports.items() if name in used]
        (package / file).write_text("\n".join([*lines, "", text]))
    for file, text in APPENDED.items():
        with (package / file).open("a") as stream:
            stream.write(text)
    (package / "cli" / "hello.py").write_text(COMMAND)
    return home


def run(home: Path, *arguments: str) -> str:
    """Return the output of Python in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(home)}
    done = subprocess.run([sys.executable, *arguments], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


REGISTRIES = {
    "ENCODERS": (ENCODERS, "plugin-mean"),
    "LOSSES": (LOSSES, "zero plugin-hinge"),
    "METRICS": (METRICS, "plugin-first-hit second_hit third_hit"),
    "MODELS": (MODELS, "plugin-counts"),
    "DATASETS": (DATASETS, "plugin-blocks"),
    "SPLITTERS": (SPLITTERS, "plugin-every"),
    "PROTOCOLS": (PROTOCOLS, "plugin-fives"),
    "FEATURE_ENCODERS": (FEATURE_ENCODERS, "plugin-length"),
    "FINDINGS": (FINDINGS, "plugin-titles"),
    "USER_FEATURES": (USER_FEATURES, "plugin_tenure"),
    "HISTORY_FORMATS": (HISTORY_FORMATS, "Plugin"),
    "METADATA_PROVIDERS": (METADATA_PROVIDERS, "plugin-shelf"),
}
"""By name, each registry and what the new files add."""


HELPS = ("benchmark", "recommend", "predict", "fetch")
COMMANDS = [
    ["--help"],
    *([name, "--help"] for name in HELPS),
    ["fetch", "--out", "out", "--source", "plugin-shelf", "--dataset", "plugin-blocks"],
]
PARTS = {
    "listed": f"""
import sys
from gnnrec import registry
for kind in {list(REGISTRIES)}:
    print("|".join(getattr(registry, kind).builtin))
assert not {{"torch", "pandas"}} & set(sys.modules)
""",
    "used": """
import gnnrec
from gnnrec.features import encode_plots

dataset = gnnrec.load_dataset("plugin-blocks", num_users=30)
split = gnnrec.split(dataset, "plugin-fives")
assert gnnrec.split(dataset, "plugin-every:step=5").test.equals(split.test)
config = gnnrec.Config.from_mapping({
    "model": {"encoder": "plugin-mean", "history_weight": 0.5, "embedding_dim": 8},
    "train": {"loss": "plugin-hinge", "loss_options": {"margin": 0.2}, "metric": "plugin-first-hit", "epochs": 2},
})
model = gnnrec.fit(split, config=config, run_dir="run", progress=False)
assert type(model.encoder).__module__ == "gnnrec.nn.mean"
assert gnnrec.load("run").recommend(1).equals(model.recommend(1))
zero = gnnrec.fit(split, config=config.override(["train.loss=zero", "train.loss_options={}"]), progress=False)
assert [entry["loss"] for entry in zero.history] == [0, 0]

model = gnnrec.fit(split, "plugin-counts", power=-1)
reported = set(gnnrec.evaluate(model, split)["metric"])
assert {"plugin-first-hit", "second_hit", "recall"} <= reported and not {"third_hit", "gini"} & reported
assert set(gnnrec.evaluate(model, split, metrics=["third_hit"])["metric"]) == {"third_hit"}
assert encode_plots(dataset, encoder="plugin-length", progress=False).values.shape == (30, 2)
users = dataset.users[["user_id"]].assign(membersince=range(dataset.num_users))
graph = gnnrec.Graph.from_dataset(gnnrec.Dataset(dataset.ratings, dataset.movies, users))
assert graph.users.x[7, -2:].tolist() == gnnrec.graph.encode_users(
    graph, gnnrec.NewUser(profile={"plugin_tenure": 7})
)[0].x[0, -2:].tolist() != [0, 0]
found = gnnrec.analyze(dataset)
assert list(found.findings)[-1] == "plugin-titles" and found["plugin-titles"].title == "Lengths of titles"
print("done")
""",
    "commands": f"""
import json
from typer.testing import CliRunner
from gnnrec.cli import app
print(json.dumps([CliRunner().invoke(app, words, prog_name="gnnrec").stdout for words in {COMMANDS}]))
from gnnrec.datasets.histories import read_history_file
print(read_history_file("hearts.csv").entries[0].rating)
""",
}
"""What is done with the copy of the package, one part after the other in a process of its own."""
ALL = f"""
import contextlib, io, json, traceback
told = {{}}
for name, code in {PARTS!r}.items():
    errors = ""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            exec(code, {{}})
        except Exception:
            errors = traceback.format_exc()
    told[name] = [out.getvalue(), errors]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(home: Path) -> dict[str, list[str]]:
    """Return what each of `PARTS` has printed, and its error."""
    (home / "hearts.csv").write_text("Plugin Id,Title,Hearts\n1,Movie 3,4\n")
    return dict(json.loads(run(home, "-c", ALL).splitlines()[-1]))


def test_every_registry_is_tried() -> None:
    assert set(REGISTRIES) == {name for name, value in vars(registry).items() if isinstance(value, registry.Registry)}


def test_new_names_are_listed(told: dict[str, list[str]]) -> None:
    """Without an import of anything heavy, and after the names that have a fixed place."""
    printed, errors = told["listed"]
    assert errors == ""
    for line, (one, added) in zip(printed.splitlines(), REGISTRIES.values(), strict=True):
        names = line.split("|")
        assert [name for name in names if name not in one.builtin] == added.split()
        assert [name for name in names if name in one.builtin] == list(one.builtin)
        assert names[: len(one.first)] == list(one.builtin)[: len(one.first)]


@pytest.mark.slow
def test_used_by_name(told: dict[str, list[str]]) -> None:
    assert told["used"] == ["done\n", ""]


@pytest.mark.slow
def test_commands(home: Path, told: dict[str, list[str]]) -> None:
    assert run(home, "-m", "gnnrec", "hello", "world") == "hello world\n"
    printed, errors = told["commands"]
    assert errors == ""
    outputs, rating = printed.splitlines()
    own, benchmark, recommend, predict, fetch, fetched = json.loads(outputs)
    shown = own.split("Commands:")[1].split()
    assert shown.index("hello") > shown.index("map")
    help_text = " ".join(benchmark.split()).replace("- ", "-")  # a line may end there
    for name in ("plugin-counts", "plugin-fives", "plugin-first-hit"):
        assert name in help_text
    assert "--plugin-tenure" in recommend and "--plugin-tenure" in predict
    assert "tmdb, omdb, plugin-shelf" in fetch
    assert [row[-1] for row in cells(fetched)][3:4] == ["30"]
    assert rating == "4.0"
