"""Train on MovieLens-1M, compare with honest baselines, and recommend to someone the model has never met.

    python examples/train_ml1m.py [--data-dir FOLDER] [--config configs/ml1m.yaml] [--out runs/ml1m] [--no-sample]

Without MovieLens-1M on this machine it is downloaded; where that is not possible, a generated sample takes its place,
and everything printed and saved says so.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from gnnrec.benchmark import compare, fit_baseline, results_table, timed
from gnnrec.cli.output import console, recommendations
from rich.table import Table

import gnnrec
from gnnrec.models import BASELINES

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train gnnrec on MovieLens-1M.")
    parser.add_argument("--data-dir", type=Path, help="folder of ML-1M, or one that contains ml-1m/")
    parser.add_argument("--config", type=Path, help="YAML file of settings (default: the one made for the dataset)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<dataset>)")
    parser.add_argument("--no-sample", action="store_true", help="fail when MovieLens-1M cannot be had")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except (gnnrec.GnnrecError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; what was learned so far is in the run folder")


def run(arguments: argparse.Namespace) -> None:
    dataset = load(arguments.data_dir, allow_sample=not arguments.no_sample)
    config_file = arguments.config or CONFIGS / f"{dataset.name.replace('-', '')}.yaml"
    config = gnnrec.Config.from_yaml(config_file).override(arguments.set)
    out = arguments.out or Path("runs") / dataset.name.replace("-", "")

    # Hold out a tenth of each person's ratings to stop by, another tenth to test on.
    split = gnnrec.splitting.random_split(dataset, (0.8, 0.1, 0.1), seed=config.train.seed)
    graph = gnnrec.Graph.from_dataset(split.dataset)
    show_graph(graph)

    model, seconds = timed(partial(gnnrec.fit, split, config, run_dir=out))
    models: dict[str, gnnrec.Recommender] = {"gnnrec": model}
    fit_seconds = {"gnnrec": seconds}
    for name in reversed(BASELINES):
        models[name], fit_seconds[name] = timed(partial(fit_baseline, name, split))
    results = compare(models, split, fit_seconds=fit_seconds)
    console.print(results_table(results, f"Test ratings of {split.name} ({split.protocol}), everything ranked"))

    someone = new_user(dataset)
    frame = gnnrec.models.base(model, someone, k=10)
    profile = f"a new user of age {someone.age:.0f}, {someone.gender}, {someone.occupation}"
    console.print(f"\n[bold]Ten movies from {dataset.name} for {profile}, who likes[/] {'; '.join(someone.ratings)}")
    console.print(recommendations(frame, gnnrec.explain(model, someone, frame["movie_id"])))

    split.to_folder(out / "split")
    model.with_report(dataset=dataset.name, protocol=split.protocol, test=results).save(
        out, keep=["checkpoint.pt", "split"]
    )
    console.print(f"\nThe run on {dataset.name} is saved in {out} (training curve: {out / 'training.png'})")


def load(data_dir: Path | None, *, allow_sample: bool) -> gnnrec.Dataset:
    """Return MovieLens-1M, or loudly the sample."""
    try:
        return gnnrec.load_dataset("ml-1m", data_dir=data_dir)
    except gnnrec.DownloadError as error:
        if not allow_sample:
            raise
        console.rule("[bold yellow]MovieLens-1M is not here and could not be downloaded")
        console.print(str(error), markup=False)
        console.print("Going on with the GENERATED SAMPLE. For real results, put ML-1M into data/ml-1m.")
        console.rule(style="bold yellow")
        return gnnrec.load_dataset("sample")


def show_graph(graph: gnnrec.Graph) -> None:
    """Print what the graph holds."""
    grid = Table(title=f"The graph of {graph.dataset.name}", title_justify="left", header_style="bold")
    grid.add_column("nodes and edges")
    grid.add_column("how many", justify="right")
    for node_type, ids in graph.ids.items():
        grid.add_row(node_type, f"{len(ids):,}")
    for source, relation, target in graph.hetero_data.edge_types:
        if not relation.startswith("rev_"):
            edges = graph.hetero_data[source, relation, target].num_edges
            grid.add_row(f"{source} -{relation}- {target}", f"{edges:,}")
    console.print(grid)


def new_user(dataset: gnnrec.Dataset) -> gnnrec.NewUser:
    """Make somebody up who is in no dataset."""
    if dataset.name == "ml-1m":
        liked = [
            "Toy Story (1995)",
            "Princess Bride, The (1987)",
            "Groundhog Day (1993)",
            "Shakespeare in Love (1998)",
            "Sense and Sensibility (1995)",
        ]
    else:  # five movies of one genre that many have seen
        counts = dataset.ratings["movie_id"].value_counts()
        comedies = dataset.movies[dataset.movies["genres"].str.contains("Comedy")]
        liked = list(comedies.assign(n=comedies["movie_id"].map(counts)).nlargest(5, "n")["title"])
    return gnnrec.NewUser(age=29, gender="F", occupation="artist", ratings=dict.fromkeys(liked, 5))


if __name__ == "__main__":
    main()
