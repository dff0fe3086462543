"""The sections of the leaderboard: one per protocol, with the commands that measure it.

Each command writes the results file it is listed under. To add a model, add its ``--config`` or its name to a command.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorded import EXPLANATION

SPLIT = "Movielens1M_m1"
"""In commands, stands for the folder that `--split` of `make_leaderboard.py` names."""

INTRODUCTION = f"""<!-- Written by docs/_scripts/make_leaderboard.py; do not edit. `make leaderboard-page` rewrites it. -->

# Leaderboard

MovieLens-1M under twelve protocols, Gowalla and Amazon Beauty: each section gives the protocol, the command, our measurements
and published results.

All rows of one table were measured on the same data in the same way; their
[fingerprint](../reference/protocols.md#the-fingerprint) guarantees it. *Fits* is the number of seeds: three for gnnrec;
one for models without randomness, and for the slower baselines. ± is the standard deviation over seeds; a number without
it comes from a single fit. Fit times are in seconds and include the choice of hyperparameters and epochs. Those of
gnnrec 0.1.0 were taken on one of two cores while the other was busy, so they are up to twice as long as on a quiet machine;
later ones are seconds of the processor, which other programs hardly change.

**Not all models are trained to the end.** Some baselines had a time limit, gnnrec had none. A row that says *not converged*
understates its model. Where a published number of the same model is listed below the table, it is the better reference.

`gnn (NAME)` is the graph neural network with the shipped config `NAME`: `--config NAME` on the command line,
`config=gnnrec.Config.from_yaml("NAME")` in Python. Without a config, settings are
[chosen from the data](../explanation/training.md#settings-chosen-from-the-data), and the numbers differ.

gnnrec 0.1.0 is the version string of the repository before its first release; it measured most of the results.
`Movielens1M_m1` is a published split; [Protocols](../reference/protocols.md#movielens1m-m1) says where to get it.

{EXPLANATION}

Published numbers were **not** measured by us. Their table says whether the protocol is the same; where it is not, the
number is context, not a comparison. *Read in the source* means that we found the number in the original publication;
the others are quoted second-hand. *Told when?* says whether the model knows when each user asks, such as the timestamp of
the test rating; ours do not, unless the protocol says so."""

NO_SEQUENTIAL = "The baselines do not use time; no sequential baseline was measured here."
CONFIGS_UNORDERED = "--config ml1m"
"""Our models that treat a history as a set."""
CONFIGS_NEXT_ITEM = f"{CONFIGS_UNORDERED} --config ml1m-next"
"""For next-item protocols: additionally a model that uses order and time."""
CONFIGS_TEMPORAL = f"{CONFIGS_UNORDERED} --config ml1m-chronological"
"""For temporal splits: additionally a model that uses order and time."""


@dataclass(frozen=True)
class Section:
    """A protocol, its metrics, and its commands by results file."""

    title: str
    about: str
    columns: tuple[str, ...]
    commands: dict[str, str]
    sorted_by: str
    lower_is_better: bool = False


def ranking(
    name: str,
    title: str,
    about: str,
    columns: tuple[str, ...],
    configs: str,
    slow_models: str = "",
    time_limit: int | None = 240,
    data: str = "",
    separate_models: tuple[str, ...] = (),
    separate_configs: tuple[str, ...] = (),
) -> Section:
    """Return a ranking section: our models and fast baselines over three seeds, slower models over one.

    `data` are the options that select the split, by default the protocol called `name`. `separate_models` are slower
    models with a command of their own, without a time limit, `separate_configs` our slower models. The table is sorted by
    the last column.
    """
    start = f"gnnrec benchmark --dataset ml-1m {data or f'--protocol {name}'}"
    commands = {f"{name}.json": f"{start} {configs} --seeds 3"}
    if slow_models:
        limit = "" if time_limit is None else f" --time-limit {time_limit}"
        commands[f"{name}-peers.json"] = f"{start} --models {slow_models} --seeds 1{limit}"
    for model in separate_models:
        commands[f"{name}-{model}.json"] = f"{start} --models {model} --seeds 1"
    for config in separate_configs:
        commands[f"{name}-{config}.json"] = f"{start} --models gnn --config {config} --seeds 3"
    return Section(title, about, columns, commands, sorted_by=columns[-1])


TOP_20 = ("recall@20", "ndcg@20")
TOP_10 = ("recall@10", "ndcg@10")
HITS = ("hit_rate@10", "ndcg@10")
NEW_USERS = (
    "gnnrec benchmark --dataset ml-1m --protocol strong-generalization --metric capped_recall --metric ndcg -k 20 -k 50 "
    "-k 100"
)
"""Start of the commands for new users, with the metrics of the papers on autoencoders."""

SECTIONS: dict[str, Section] = {
    "m1": ranking(
        "m1",
        "Movielens1M_m1",
        "A published split in three files. Every rating counts as interest, and all movies are ranked.",
        TOP_20,
        CONFIGS_UNORDERED,
        "slim,als,bpr",
        time_limit=None,
        data=f"--split {SPLIT}",
        separate_models=("lightgcn",),
        separate_configs=("ml1m-ensemble",),
    ),
    "recbole": ranking(
        "recbole",
        "RecBole's protocol",
        "Ratings of 3 and above, 10-core, random 8:1:1 per user. Recall is divided by the number of test movies.",
        TOP_10,
        CONFIGS_UNORDERED,
        "slim,als",
    ),
    "temporal-10core": ranking(
        "temporal-10core",
        "Newest 20% per user, ratings of 4 and 5",
        "10-core, chronological 70/10/20 per user. Validation ratings are excluded from the lists but not given to the "
        f"models. {NO_SEQUENTIAL}",
        TOP_20,
        CONFIGS_TEMPORAL,
        "slim,als",
    ),
    "temporal-fold-in": ranking(
        "temporal-fold-in",
        "Newest 20% per user, with fold-in",
        "Ratings of 4 and 5, 10-core, chronological 70/10/20 per user. Validation ratings are added to the histories "
        f"after training, without retraining. {NO_SEQUENTIAL}",
        TOP_20,
        CONFIGS_TEMPORAL,
        data="--protocol temporal-10core:history=train+valid",
    ),
    "temporal-last-10": ranking(
        "temporal-last-10",
        "Newest 10% per user, ratings of 4 and 5",
        "10-core, chronological 70/20/10 per user. The validation ratings lie between training and test; they are "
        f"excluded from the lists but not given to the models. {NO_SEQUENTIAL}",
        TOP_20,
        CONFIGS_TEMPORAL,
    ),
    "temporal-next-10": ranking(
        "temporal-next-10",
        "Next 10% per user, ratings of 4 and 5",
        "10-core, chronological 70/10/20 per user. Test ratings follow the training ratings directly; validation "
        f"ratings come last. {NO_SEQUENTIAL}",
        TOP_20,
        CONFIGS_TEMPORAL,
    ),
    "next-item": ranking(
        "next-item",
        "Next item",
        "Each user's last rating, ranked among all movies, with all earlier ratings known. The second-to-last rating is "
        "used for model selection; unlike in some papers, it is not trained on.",
        HITS,
        CONFIGS_NEXT_ITEM,
        "slim,als,mf,average,sasrec,sasrec-binary",
        time_limit=480,
    ),
    "next-item-timed": ranking(
        "next-item-timed",
        "Next item, told when",
        "The same ratings; the model is told the time of the test rating, as a service knows when it is asked. The "
        "baselines do not use it.",
        HITS,
        "--config ml1m-next-timed",
    ),
    "next-item-99": ranking(
        "next-item-99",
        "Next item among 99 sampled negatives",
        "Each user's last rating, ranked among 99 movies sampled per user. NCF and its successors also train on the "
        "second-to-last rating; here it is only known at test time.",
        HITS,
        CONFIGS_NEXT_ITEM,
        "slim,mf",
    ),
    "clean": Section(
        "ml-1m_clean",
        "Ratings of 4 and 5 in three files by time; the test ratings lie before the validation ratings. All movies are "
        'ranked, training and validation ratings excluded: the folder\'s `split.json` says `{"mask": "train+valid"}`.',
        TOP_20,
        {
            "clean.json": "gnnrec benchmark --dataset ml-1m --split ml-1m_clean --models gnn,ease --config "
            "ml1m-chronological --seeds 3"
        },
        sorted_by="ndcg@20",
    ),
    "strong-generalization": Section(
        "New users with long histories",
        "Ratings of 4 and 5. A random tenth of the users has no training ratings, and another tenth is for validation. 80% of "
        "the ratings of each are given to the models afterwards, without retraining; the others are to be predicted. Recall "
        "is divided by k or, if that is smaller, by the number of test movies.",
        ("capped_recall@20", "capped_recall@50", "ndcg@100"),
        {
            "strong-generalization.json": f"{NEW_USERS} --models popularity,itemknn,ease,als --seeds 1",
            **{
                f"strong-generalization-{name}.json": f"{NEW_USERS} --models {name} --seeds {seeds}"
                for name, seeds in {"gnn": 3, "slim": 1, "mult-vae": 3, "recvae": 3}.items()
            },
        },
        sorted_by="ndcg@100",
    ),
    "gowalla": Section(
        "Gowalla",
        "LightGCN's own split of check-ins: ids only, no validation rows. All places are ranked, training rows excluded. "
        "The network with settings chosen from the data is measured on another page, "
        "[Training](../explanation/training.md#settings-chosen-from-the-data).",
        TOP_20,
        {},
        sorted_by="ndcg@20",
    ),
    "beauty": Section(
        "Amazon Beauty, next item",
        "Users and products with five ratings or more. Each user's last rating, ranked among all products. The network with "
        "settings chosen from the data is measured on another page, "
        "[Training](../explanation/training.md#settings-chosen-from-the-data).",
        TOP_10,
        {},
        sorted_by="ndcg@10",
    ),
    "rating": Section(
        "Rating prediction",
        "Predicted stars: a random 90% of all ratings for training, 10% for testing, no timestamps. Three seeds, each "
        "with a split of its own.",
        ("rmse", "mae"),
        {"rating.json": "python examples/rate_ml1m.py --seeds 3 --with-content-only"},
        sorted_by="rmse",
        lower_is_better=True,
    ),
}

TIME = {"time.json": f"python benchmarks/time_to_quality.py --split {SPLIT} --config ml1m"}
