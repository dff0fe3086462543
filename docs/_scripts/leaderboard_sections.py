"""What stands on the leaderboard: a section for each protocol, and the commands that make its numbers.

A command writes the file of results that it stands beside. To add a network, add its ``--config`` to the commands.
"""

from __future__ import annotations

from dataclasses import dataclass

SPLIT = "Movielens1M_m1"
"""Stands in commands for the folder that `--split` of `make_leaderboard.py` names."""

INTRODUCTION = """<!-- Written by docs/make_leaderboard.py: `make leaderboard-page` writes it anew. -->

# Leaderboard

MovieLens-1M, a section for each protocol: the protocol as it was followed, the command, what it measured, and what
others have published.

The numbers of one table were measured on the same rows in the same way, for which their
[fingerprint](reference/protocols.md#the-fingerprint) vouches. ± is the standard deviation over seeds; seconds are those
of one fit, with the choice of settings and of the epoch. They were taken on one of two cores while the other one was
measuring something else, which makes them up to twice as long as on a quiet machine.

Published numbers were **not** measured by us. Their table says whether the protocol is the same; where it is not, they
are there for orientation and must not be compared. *Read in the source* means that we have seen the number where it
was published; the others are quoted second-hand."""

CONFIGS_OF_SETS = "--config configs/ml1m.yaml"
"""Our networks where people's histories count as sets."""
CONFIGS_NEXT = f"{CONFIGS_OF_SETS} --config configs/ml1m-next.yaml"
"""Where the next movie is asked for: one that knows time, beside one that does not."""
CONFIGS_LATER = f"{CONFIGS_OF_SETS} --config configs/ml1m-chronological.yaml"
"""Where all that comes after some moment is asked for."""


@dataclass(frozen=True)
class Section:
    """A protocol, its metrics, and the commands by the name of the file that each of them makes."""

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
    peers: str = "",
    limit_seconds: int = 240,
    rows: str = "",
) -> Section:
    """Return a section of ranked lists: the networks and the baselines over three seeds, the slower peers over one.

    `rows` are the options that choose the rows, else the protocol of that name. Its table is sorted by the last column.
    """
    start = f"gnnrec benchmark --dataset ml-1m {rows or f'--protocol {name}'}"
    commands = {f"{name}.json": f"{start} {configs} --seeds 3"}
    if peers:
        commands[f"{name}-peers.json"] = f"{start} --models {peers} --seeds 1 --limit-seconds {limit_seconds}"
    return Section(title, about, columns, commands, sorted_by=columns[-1])


TOP_20 = ("recall@20", "ndcg@20")
TOP_10 = ("recall@10", "ndcg@10")
HITS = ("hit_rate@10", "ndcg@10")

SECTIONS: dict[str, Section] = {
    "m1": ranking(
        "m1",
        "Movielens1M_m1",
        "A published split: a folder of three files, every rating counts, all movies are ranked.",
        TOP_20,
        CONFIGS_OF_SETS,
        "slim,als,bpr,mf,neumf,lightgcn",
        rows=f"--split {SPLIT}",
    ),
    "recbole": ranking(
        "recbole",
        "RecBole's protocol",
        "Ratings of 3 and more, 10-core, 8:1:1 at random per user. Recall is divided by the number of test movies.",
        TOP_10,
        CONFIGS_OF_SETS,
        "slim,als",
    ),
    "chronological-10core": ranking(
        "chronological-10core",
        "Each user's newest fifth, of ratings of 4 and 5",
        "10-core, 70/10/20. The valid tenth before the test rows is left out of the lists, but not known.",
        TOP_20,
        CONFIGS_LATER,
        "slim,als",
    ),
    "chronological-fold-in": ranking(
        "chronological-fold-in",
        "Each user's newest fifth, with fold-in",
        "Ratings of 4 and 5, 10-core, 70/10/20. The valid tenth reaches the models after training; nothing is "
        "trained on it.",
        TOP_20,
        CONFIGS_LATER,
        rows="--protocol chronological-10core --history train+valid",
    ),
    "last-tenth": ranking(
        "last-tenth",
        "Each user's newest tenth, of ratings of 4 and 5",
        "10-core, 70/20/10. A fifth lies between the train rows and the test rows; it is left out of the lists, but "
        "not known.",
        TOP_20,
        CONFIGS_LATER,
    ),
    "next-tenth": ranking(
        "next-tenth",
        "The tenth that follows each user's train rows, of ratings of 4 and 5",
        "10-core, 70/10/20. The test rows follow the train rows directly, and the valid fifth comes after them.",
        TOP_20,
        CONFIGS_LATER,
    ),
    "next-movie": ranking(
        "next-movie",
        "Next movie",
        "Each user's last rating among all movies, all ratings before it known. The last but one chooses the model; "
        "it is not trained on, as it is in some papers.",
        HITS,
        CONFIGS_NEXT,
        "slim,als,mf,average,sasrec,sasrec-binary",
        limit_seconds=480,
    ),
    "next-movie-99": ranking(
        "next-movie-99",
        "Next movie among 99",
        "Each user's last rating among 99 movies drawn for each user. NCF and its followers train on the last but one "
        "rating, too; here it is known at test time only.",
        HITS,
        CONFIGS_NEXT,
        "slim,mf",
    ),
    "rating": Section(
        "Predicted ratings",
        "How many stars: 90% of all ratings at random to train, 10% to test, no dates used.",
        ("rmse", "mae"),
        {"rating.json": "python examples/rate_ml1m.py --seeds 3 --with-content-only"},
        sorted_by="rmse",
        lower_is_better=True,
    ),
}

TIME = {"time.json": f"python benchmarks/time_to_quality.py --split {SPLIT} --batch-sizes 8192 65536 --limit-seconds 900"}
