"""Time the search for titles: 50 as in an export of a history, and 200 that no movie has.

python benchmarks/bench_titles.py [--dataset ml-1m] [--repeats 5]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _common import console

import gnnrec
from gnnrec.data.titles import parse_title
from gnnrec.graph.titles import TitleIndex


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the search for titles.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    movies = gnnrec.load_dataset(arguments.dataset).movies
    index = TitleIndex(movies)
    index.find("warm (1999)"), index.nearest("warm")
    sample = movies.sample(40, random_state=0)
    history = [
        f"{parse_title(title)[0][0]} ({year})" for title, year in zip(sample["title"], sample["year"], strict=True)
    ]
    history += [f"{name[:-7]} Reloaded ({2003 + place})" for place, name in enumerate(history[:10])]
    words = sorted({word for title in movies["title"] for word in parse_title(title)[0][0].split()})
    rng = np.random.default_rng(0)
    unknown = [" ".join(rng.choice(words, rng.integers(1, 5))) + " quark" for _ in range(200)]
    for what, names in (("50 titles of a history", history), ("200 unknown titles, with suggestions", unknown)):
        seconds = []
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            for name in names:
                index.find(name)
                if names is unknown:
                    index.nearest(name, 3)
            seconds.append(time.perf_counter() - started)
        console.print(f"{what}: {min(seconds) * 1e3:.1f} ms, best of {arguments.repeats}")


if __name__ == "__main__":
    main()
