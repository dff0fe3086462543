"""Check an installed gnnrec outside of a checkout: train, recommend, evaluate, and load the run.

Run it in an empty folder, with the Python that gnnrec is installed in.
"""

import json
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import gnnrec


def run(*words: str) -> str:
    """Run the command that the package installed, and return what it printed."""
    command = [str(Path(sys.executable).with_name("gnnrec")), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


package = Path(gnnrec.__file__).parent
assert not (package.parent / "pyproject.toml").exists(), f"{package} is a checkout"
assert version("gnnrec") == gnnrec.__version__
assert run("--version") == f"gnnrec {gnnrec.__version__}\n"
for name in ("py.typed", "configs/ml1m.yaml", "service/static/app.css", "explore/templates/report.html.jinja"):
    assert files("gnnrec").joinpath(name).is_file(), f"{name} is not installed"

sample = "sample:num_users=60,num_movies=40"
quick = ("--set", "train.epochs=2", "--set", "model.embedding_dim=8")
run("train", "--dataset", sample, "--protocol", "random", *quick, "--out", "runs/smoke")
rows = json.loads(run("recommend", "runs/smoke", "--user", "1", "--json"))
assert [row["rank"] for row in rows] == list(range(1, 11))
metrics = {f"{row['metric']}@{row['k']}": row["value"] for row in json.loads(run("evaluate", "runs/smoke", "--json"))}
assert 0 < metrics["ndcg@10"] < 1, metrics

model = gnnrec.load("runs/smoke")
assert gnnrec.recommend(model, 1, k=10)["movie_id"].tolist() == [row["movie_id"] for row in rows]
new = gnnrec.recommend(model, gnnrec.NewUser(age=30, ratings={1: 5, 7: 4}), k=3)
assert len(new) == 3 and new["score"].is_monotonic_decreasing
print(f"gnnrec {gnnrec.__version__} in {package}, Python {sys.version.split()[0]}: ndcg@10 {metrics['ndcg@10']:.4f}")
