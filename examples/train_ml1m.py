"""Train on MovieLens-1M, compare with strong baselines, and recommend to a user whom the model has never seen.

    python examples/train_ml1m.py [--data-dir FOLDER] [--config ml1m] [--out runs/ml1m] [--no-sample]

MovieLens-1M is downloaded if it is not on this machine. If that fails, a generated sample takes its place, and
everything printed and saved says so.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import gnnrec
from gnnrec.benchmarking import compare, fit_best, results_table, timed
from gnnrec.plots import training_curve
from gnnrec.splitting import random_split

BASELINES = ("ease", "itemknn", "popularity")
TEXT_COLUMNS = ("nodes and edges", "model", "title", "because of")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train gnnrec on MovieLens-1M.")
    parser.add_argument("--data-dir", type=Path, help="folder of ML-1M, or one that contains ml-1m/")
    parser.add_argument("--config", help="YAML file or name of a config (default: chosen from the data)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<dataset>)")
    parser.add_argument("--no-sample", action="store_true", help="fail if MovieLens-1M is not available")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except (gnnrec.GnnrecError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the best epoch so far is in the run folder")


def run(arguments: argparse.Namespace) -> None:
    dataset = load(arguments.data_dir, allow_sample=not arguments.no_sample)
    short_name = dataset.name.replace("-", "")
    config = gnnrec.Config.from_yaml(arguments.config) if arguments.config else None
    estimator = gnnrec.models.GNN(config=config, overrides=tuple(arguments.set))
    out = arguments.out or Path("runs") / short_name

    # A tenth of each user's ratings for early stopping, another tenth for testing.
    split = random_split(dataset, (0.8, 0.1, 0.1), seed=estimator.random_seed)
    show(graph_table(gnnrec.Graph.from_dataset(split.dataset)), f"Graph of {split.name}")

    model, seconds = timed(partial(gnnrec.fit, split, estimator, run_dir=out))
    models: dict[str, gnnrec.Recommender] = {"gnnrec": model}
    fit_seconds = {"gnnrec": seconds}
    for name in BASELINES:
        models[name], fit_seconds[name] = timed(partial(fit_best, name, split))
    results = compare(models, split, fit_seconds=fit_seconds)
    show(results_table(results), f"\nTest ratings of {split.name} ({split.protocol}), all movies ranked")
    print(verdict(results, dataset.num_users))

    user = new_user(dataset)
    found = model.recommend(user, k=10)
    profile = f"a new user of age {user.age:.0f}, {user.gender}, {user.occupation}"
    title = f"\nTen movies from {dataset.name} for {profile}, who likes {'; '.join(user.ratings)}"
    show(recommendations_table(found, gnnrec.explain(model, user, found["movie_id"])), title)

    split.to_folder(out / "split")
    model.with_report(dataset=dataset.name, protocol=split.protocol, test=results).save(
        out, keep=["checkpoint.safetensors", "split"]
    )
    training_curve(model.history, title=dataset.name, path=out / "training.png")
    print(f"\nThe run on {dataset.name} is saved in {out} (training curve: {out / 'training.png'})")


def verdict(results: list[dict[str, Any]], num_users: int) -> str:
    """Return a sentence on which model is ahead, and why that may be."""
    ndcg = {row["model"]: row["mean"] for row in results if (row["metric"], row["k"]) == ("ndcg", 10)}
    best = max(ndcg, key=ndcg.__getitem__)
    if best == "gnnrec":
        second = sorted(ndcg.values())[-2]
        return f"gnnrec is ahead in NDCG@10, by {ndcg[best] / second - 1:.1%}."
    figures = f"{ndcg[best]:.4f} against {ndcg['gnnrec']:.4f}"
    return (
        f"{best} is ahead of gnnrec in NDCG@10 ({figures}): with {num_users:,} users, a linear model is hard to beat. "
        "What it cannot do comes next: a list for somebody of whom age, gender and occupation are known as well, or "
        "movies that nobody has rated yet."
    )


def load(data_dir: Path | None, *, allow_sample: bool) -> gnnrec.Dataset:
    """Return MovieLens-1M, or the sample with a clear warning."""
    try:
        return gnnrec.load_dataset("ml-1m", data_dir=data_dir)
    except gnnrec.DownloadError as error:
        if not allow_sample:
            raise
        print("MovieLens-1M is not on this machine and could not be downloaded:")
        print(error)
        print("Continuing with the GENERATED SAMPLE. For real results, put ML-1M into data/ml-1m.\n")
        return gnnrec.load_dataset("sample")


def graph_table(graph: gnnrec.Graph) -> pd.DataFrame:
    """Return the numbers of nodes and edges by type."""
    counts = {node_type: len(ids) for node_type, ids in graph.ids.items()}
    for source, relation, target in graph.hetero_data.edge_types:
        if not relation.startswith("rev_"):
            edges = graph.hetero_data[source, relation, target].num_edges
            counts[f"{source} -{relation}- {target}"] = edges
    return pd.DataFrame({"nodes and edges": list(counts), "number": [f"{count:,}" for count in counts.values()]})


def recommendations_table(found: pd.DataFrame, reasons: pd.DataFrame) -> pd.DataFrame:
    """Return recommendations with the reasons for each."""
    because = reasons.groupby("movie_id")["because"].agg(", ".join)
    return pd.DataFrame(
        {
            "rank": found["rank"].astype(str),
            "title": found["title"],
            "score": found["score"].map("{:.3f}".format),
            "because of": found["movie_id"].map(because).fillna("-"),
        }
    )


def show(table: pd.DataFrame, title: str) -> None:
    """Print a table of text: with lines on a terminal, columns aligned by spaces in a pipe or file."""
    print(title)
    names = [str(name) for name in table]
    rows: list[list[str]] = table.to_numpy().tolist()
    if sys.stdout.isatty():
        grid = Table(header_style="bold")
        for name in names:
            grid.add_column(name, justify="left" if name in TEXT_COLUMNS else "right")
        for row in rows:
            grid.add_row(*map(escape, row))
        Console().print(grid)
        return
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in [names, *rows]:
        cells = [
            cell.ljust(width) if name in TEXT_COLUMNS else cell.rjust(width)
            for cell, width, name in zip(row, widths, names, strict=True)
        ]
        print("  ".join(cells).rstrip())


def new_user(dataset: gnnrec.Dataset) -> gnnrec.NewUser:
    """Return a user who is in no dataset."""
    if dataset.name == "ml-1m":
        liked = [
            "Toy Story (1995)",
            "Princess Bride, The (1987)",
            "Groundhog Day (1993)",
            "Shakespeare in Love (1998)",
            "Sense and Sensibility (1995)",
        ]
    else:  # five popular movies of one genre
        counts = dataset.ratings["movie_id"].value_counts()
        comedies = dataset.movies[dataset.movies["genres"].str.contains("Comedy")]
        liked = list(comedies.assign(n=comedies["movie_id"].map(counts)).nlargest(5, "n")["title"])
    return gnnrec.NewUser(age=29, gender="F", occupation="artist", ratings=dict.fromkeys(liked, 5))


if __name__ == "__main__":
    main()
