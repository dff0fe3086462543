"""Time and memory of every stage, from a file of ratings to lists for all users, on synthetic data of any size.

    python benchmarks/scale.py --people 6000 --movies 3900 --ratings 1000000 [--folder DIR] [--json FILE]
        [--stages read split ...] [--config FILE.yaml] [--set SECTION.KEY=VALUE] [--batch-size 4096] [--threads 1]

The data (`_synthetic_ratings`) have a long tail of movies and tastes that drift. Each stage runs in a process of its
own, which first loads what the stage needs. Reported are the processor time of the stage alone, all threads together,
the time on the clock, and the largest resident memory during the stage, with the memory that was taken before it.

Beside gnnrec: `implicit`'s ALS with untuned settings, one epoch of PyG's LightGCN, estimated from a few steps, and
EASE, which says how much memory it needs before it takes any.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _common import console, script_line
from _synthetic_ratings import Size, write
from rich.table import Table

import gnnrec
from gnnrec._io import write_atomic
from gnnrec._memory import GIB, available_memory
from gnnrec.errors import OutOfMemoryError

K = 10
"""Movies of each list."""
CUTOFF = 20
"""Cutoff of the metrics."""
TEST_SHARE = 0.02
"""Share of each user's ratings that is held out, at random."""
CHUNK = 8192
"""Users whose lists are written at once."""
LIGHTGCN_STEPS, LIGHTGCN_BATCH = 3, 16384
ALS = {"embedding_dim": 96, "epochs": 8}
SHARED = ("folder", "config", "set", "batch_size")
"""Options that are passed to the stages."""
TRAIN, TEST, RUN, FACTORS, LISTS = "train.parquet", "test.parquet", "run", "als.npz", "lists"


class Stage:
    """Timers and results of one stage.

    Attributes
    ----------
    result : dict
        What is reported.
    """

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    @contextmanager
    def timed(self, prefix: str = "") -> Iterator[None]:
        """Measure processor time, time on the clock and memory of a block."""
        before = _reset_peak()
        began, wall = time.process_time(), time.perf_counter()
        yield
        self.result |= {
            f"{prefix}cpu_seconds": time.process_time() - began,
            f"{prefix}seconds": time.perf_counter() - wall,
            f"{prefix}peak_bytes": _status("VmHWM"),
            f"{prefix}bytes_before": before,
        }


def _status(key: str) -> int:
    """Return a size of this process from ``/proc``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) << 10


def _reset_peak() -> int:
    """Reset the peak of resident memory; return the current value."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def read(options: argparse.Namespace, stage: Stage) -> None:
    """Read ``ratings.csv``."""
    with stage.timed():
        dataset = gnnrec.load_dataset(options.folder / "csv")
    stage.result["ratings"] = dataset.num_ratings


def read_parquet(options: argparse.Namespace, stage: Stage) -> None:
    """Read the folder of Parquet files."""
    with stage.timed():
        dataset = gnnrec.load_dataset(options.folder / "parquet")
    stage.result["ratings"] = dataset.num_ratings


def _split(options: argparse.Namespace) -> gnnrec.Split:
    dataset = gnnrec.load_dataset(options.folder / "parquet")
    return gnnrec.splitting.random_split(dataset, (1 - TEST_SHARE, 0.0, TEST_SHARE))


def split(options: argparse.Namespace, stage: Stage) -> None:
    """Hold out a random share of each user's ratings."""
    dataset = gnnrec.load_dataset(options.folder / "parquet")
    with stage.timed():
        parts = gnnrec.splitting.random_split(dataset, (1 - TEST_SHARE, 0.0, TEST_SHARE))
    parts.test.to_parquet(options.folder / TEST, index=False)
    stage.result["test_ratings"] = len(parts.test)


def graph(options: argparse.Namespace, stage: Stage) -> None:
    """Build the graph: histories by user and time, and features of movies and users."""
    from gnnrec.graph import Graph

    parts = _split(options)
    with stage.timed():
        made = Graph.from_dataset(parts.dataset)
        made.users, made.user_ptr, made.movies  # noqa: B018 - they are made on first use
    stage.result["edges"] = len(made.users.user_index)


def epoch(options: argparse.Namespace, stage: Stage) -> None:
    """Fit for one epoch; graph and SVD start are reported beside it."""
    from gnnrec.training.callbacks import Callback, FitState

    class Clock(Callback):
        """Stops the timer of the start and that of the epoch."""

        def on_fit_start(self, state: FitState) -> None:
            block.__exit__(None, None, None)
            self.block = stage.timed()
            self.block.__enter__()

        def on_epoch_end(self, state: FitState) -> None:
            self.block.__exit__(None, None, None)
            stage.result["loss"] = state.loss

    parts = _split(options)
    config = gnnrec.Config.from_yaml(options.config) if options.config else gnnrec.Config()
    config = config.override(["train.epochs=1", f"train.batch_size={options.batch_size}", *options.set])
    block = stage.timed("start_")
    block.__enter__()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no validation ratings")
        model = gnnrec.fit(parts, config=config, callbacks=[Clock()], progress=False)
    model.save(options.folder / RUN)


def evaluate(options: argparse.Namespace, stage: Stage) -> None:
    """Rank all movies for everybody with test ratings."""
    import pandas as pd

    model, test = gnnrec.load(options.folder / RUN), pd.read_parquet(options.folder / TEST)
    with stage.timed():
        found = gnnrec.evaluate(model, test, ks=[CUTOFF], metrics=["recall", "ndcg"])
    stage.result |= {"users": test["user_id"].nunique()} | _metrics(found)


def _metrics(found: Any) -> dict[str, float]:
    return {
        f"{name}@{k}": float(value) for name, k, value in zip(found["metric"], found["k"], found["value"], strict=True)
    }


def lists(options: argparse.Namespace, stage: Stage) -> None:
    """Write lists for everybody to Parquet."""
    model = gnnrec.load(options.folder / RUN)
    users = model.graph.ids["user"]
    with stage.timed():
        rows = _write_lists(
            options.folder / f"{LISTS}.parquet",
            (
                {name: frame[name].to_numpy() for name in ("user_id", "movie_id", "score")}
                for start in range(0, len(users), CHUNK)
                for frame in [model.recommend(users[start : start + CHUNK].tolist(), K)]
            ),
        )
    stage.result |= {"users": len(users), "rows": rows}


def _write_lists(path: Path, blocks: Iterator[Mapping[str, np.ndarray]]) -> int:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([("user_id", pyarrow.int64()), ("movie_id", pyarrow.int64()), ("score", pyarrow.float32())])
    rows = 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for block in blocks:
            writer.write_table(pyarrow.table(dict(block), schema=schema))
            rows += len(block["user_id"])
    path.unlink()
    return rows


def als(options: argparse.Namespace, stage: Stage) -> None:
    """Fit `implicit`'s ALS; its metrics are computed by the same code as those of the model."""
    parts = _split(options)
    estimator = gnnrec.models.ALS(**ALS)
    with stage.timed():
        fitted = estimator.fit(parts)
    np.savez(options.folder / FACTORS, movies=fitted.fitted.item_factors, users=fitted.fitted.user_factors)
    with stage.timed("evaluate_"):
        found = gnnrec.evaluate(fitted, parts.test, ks=[CUTOFF], metrics=["recall", "ndcg"])
    stage.result |= _metrics(found)


def als_lists(options: argparse.Namespace, stage: Stage) -> None:
    """Write lists of ALS for everybody, by `implicit`'s own ``recommend``."""
    from implicit.cpu.als import AlternatingLeastSquares

    from gnnrec.graph import Graph
    from gnnrec.models.implicit_models import rating_matrix

    made = Graph.from_dataset(_split(options).dataset)
    factors = np.load(options.folder / FACTORS)
    model = AlternatingLeastSquares(factors=factors["movies"].shape[1], num_threads=options.threads)
    model.item_factors, model.user_factors = factors["movies"], factors["users"]
    rated = rating_matrix(made.users, made.num_movies)
    user_ids, movie_ids = made.ids["user"].to_numpy(), made.ids["movie"].to_numpy()

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, made.num_users, CHUNK):
            users = np.arange(start, min(start + CHUNK, made.num_users))
            found, scores = model.recommend(users, rated[users], N=K)
            ids = np.repeat(user_ids[users], K)
            yield {"user_id": ids, "movie_id": movie_ids[found.ravel()], "score": scores.ravel()}

    with stage.timed():
        rows = _write_lists(options.folder / f"{LISTS}-als.parquet", blocks())
    stage.result |= {"users": made.num_users, "rows": rows}


def lightgcn(options: argparse.Namespace, stage: Stage) -> None:
    """Run a few steps of PyG's LightGCN, each over the whole graph, and estimate the time of an epoch."""
    import torch
    from torch_geometric.nn.models import LightGCN
    from torch_geometric.utils import to_torch_csr_tensor

    from gnnrec.graph import Graph

    made = Graph.from_dataset(_split(options).dataset)
    user, movie = made.users.user_index, made.users.movie_index + made.num_users
    nodes, generator = made.num_users + made.num_movies, torch.Generator().manual_seed(0)
    edges = torch.stack([torch.cat([user, movie]), torch.cat([movie, user])])
    degree = torch.bincount(edges[0], minlength=nodes).float().clamp(min=1).rsqrt()
    adjacency = to_torch_csr_tensor(edges, degree[edges[0]] * degree[edges[1]], size=(nodes, nodes))
    del edges
    model = LightGCN(nodes, embedding_dim=64, num_layers=3)
    for convolution in model.convs:
        convolution.normalize = False
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with stage.timed():
        for _ in range(LIGHTGCN_STEPS):
            rows = torch.randint(len(user), (LIGHTGCN_BATCH,), generator=generator)
            other = made.num_users + torch.randint(made.num_movies, (LIGHTGCN_BATCH,), generator=generator)
            vectors = model.get_embedding(adjacency)
            better = (vectors[user[rows]] * vectors[movie[rows]]).sum(1)
            worse = (vectors[user[rows]] * vectors[other]).sum(1)
            loss = model.recommendation_loss(better, worse, node_id=torch.cat([user[rows], movie[rows], other]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    steps = -(-len(user) // LIGHTGCN_BATCH)
    stage.result |= {"steps": LIGHTGCN_STEPS, "steps_per_epoch": steps}
    for clock in ("cpu_seconds", "seconds"):
        stage.result[clock] *= steps / LIGHTGCN_STEPS


def ease(options: argparse.Namespace, stage: Stage) -> None:
    """Fit EASE, or report that it refuses."""
    parts = _split(options)
    try:
        with stage.timed():
            gnnrec.models.EASE().fit(parts)
    except OutOfMemoryError as error:
        stage.result["refused"] = str(error)


STAGES: dict[str, Callable[[argparse.Namespace, Stage], None]] = {
    "read": read,
    "read-parquet": read_parquet,
    "split": split,
    "graph": graph,
    "epoch": epoch,
    "evaluate": evaluate,
    "lists": lists,
    "als": als,
    "als-lists": als_lists,
    "lightgcn": lightgcn,
    "ease": ease,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of every stage on made-up data of any size.")
    parser.add_argument("--people", type=int, default=6040)
    parser.add_argument("--movies", type=int, default=3900)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("scale-data"), help="where the data are written, and kept")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--config", type=Path, help="config of gnnrec, a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting")
    parser.add_argument("--batch-size", type=int, default=4096, help="users per training step")
    parser.add_argument("--threads", type=int, default=1, help="threads of each stage")
    parser.add_argument("--time-limit", type=float, default=3600, help="seconds on the clock for each stage")
    parser.add_argument("--json", type=Path, help="add the results to this file, again after every stage")
    parser.add_argument("--stage", help=argparse.SUPPRESS)  # what a process of its own runs
    arguments = parser.parse_args()
    if arguments.stage:
        for module in ("gnnrec.datasets", "gnnrec.splitting"):
            importlib.import_module(module)  # otherwise imported on first use, in the time of the stage
        stage = Stage()
        STAGES[arguments.stage](arguments, stage)
        print(json.dumps(stage.result))
        return
    if not Path("/proc/self/clear_refs").exists():
        sys.exit("error: memory is read from /proc, which only Linux has")
    arguments.folder = arguments.folder.resolve()
    typed = script_line("benchmarks/scale.py", parser, arguments, together=("stages",))
    try:
        measure(arguments, typed)
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def measure(arguments: argparse.Namespace, typed: str) -> None:
    from gnnrec.benchmarking import versions

    size = Size(arguments.people, arguments.movies, arguments.ratings, arguments.seed)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    about = write(size, arguments.folder)
    console.print(f"{about['written']:,} ratings of {size.users:,} users and {size.movies:,} movies", highlight=False)
    record: dict[str, Any] = {"stages": {}}
    if arguments.json and arguments.json.is_file():
        record = json.loads(arguments.json.read_text(encoding="utf-8"))
        if record["data"] != about:
            raise gnnrec.ConfigError(f"{arguments.json} has results of other data; choose another file")
    record |= {
        "data": about,
        "batch_size": arguments.batch_size,
        "packages": versions(),
        "processors": os.cpu_count(),
        "memory_bytes": available_memory(),
    }
    for name in arguments.stages:
        found = run(name, arguments)
        record["stages"][name] = {**found, "threads": arguments.threads, "command": typed}
        console.print(describe(name, found), highlight=False, markup=False)
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(arguments.json, (json.dumps(record, indent=1) + "\n").encode())
    console.print(table(record["stages"]))


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a stage in a process of its own and return what it reports."""
    words = [sys.executable, str(Path(__file__).resolve()), "--stage", name, "--threads", str(arguments.threads)]
    for key in SHARED:
        value = getattr(arguments, key)
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{key.replace('_', '-')}", str(one)] if one is not None else []
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=arguments.time_limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {arguments.time_limit:g} seconds"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        return {"failed": last if done.returncode > 0 else f"killed by signal {-done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def describe(name: str, found: Mapping[str, Any]) -> str:
    """Describe a result in one line."""
    if problem := found.get("failed") or found.get("refused"):
        return f"{name}: {problem}"
    quality = "".join(f", {key} {value:.4f}" for key, value in found.items() if "@" in key)
    start = f", start {found['start_cpu_seconds']:.1f} s" if "start_cpu_seconds" in found else ""
    return f"{name}: {found['cpu_seconds']:.1f} s, peak {found['peak_bytes'] / GIB:.2f} GiB{start}{quality}"


def table(stages: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return all results as a table."""
    grid = Table(title="Stages", title_justify="left", header_style="bold")
    for heading in ("stage", "processor s", "clock s", "peak GiB", "before GiB"):
        grid.add_column(heading, justify="left" if heading == "stage" else "right")
    for name, found in stages.items():
        if "cpu_seconds" in found:
            sizes = [f"{found[key] / GIB:.2f}" for key in ("peak_bytes", "bytes_before")]
            grid.add_row(name, f"{found['cpu_seconds']:.1f}", f"{found['seconds']:.1f}", *sizes)
        else:
            grid.add_row(name, "failed" if "failed" in found else "refused", "", "", "")
    return grid


if __name__ == "__main__":
    main()
