"""How fast posters become vectors, and whether memory stays flat while they do.

    python benchmarks/bench_features.py data/ml-1m/posters --architecture ViT-B-32 --limit 512

Without --weights they are drawn at random: speed and memory are the same, the vectors mean nothing.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec.features import Encoder, encode, find_posters, load_features, pick
from gnnrec.features.sources import ENDINGS


class Watched(Encoder):
    """An encoder that says, ten times on the way, how fast it is and how much memory the process takes."""

    reads = "image"

    def __init__(self, encoder: Encoder, total: int) -> None:
        self.encoder, self.total = encoder, total
        self.name = encoder.name
        self.done = 0
        self.points: list[tuple[int, float, float]] = []
        """Posters, seconds, memory in MiB."""

    @property
    def key(self) -> dict[str, Any]:
        return self.encoder.key

    def load(self) -> None:
        self.encoder.load()
        print(f"loaded, {memory():,.0f} MiB", flush=True)
        self.start = time.perf_counter()

    def prepare(self, raw: Any) -> Any:
        return self.encoder.prepare(raw)

    def encode(self, batch: list[Any]) -> np.ndarray:
        vectors = self.encoder.encode(batch)
        before, self.done = self.done, self.done + len(batch)
        if before * 10 // self.total < self.done * 10 // self.total:
            seconds, taken = time.perf_counter() - self.start, memory()
            self.points.append((self.done, seconds, taken))
            print(f"{self.done:>7,} posters {self.done / seconds:>9,.1f} per second {taken:>7,.0f} MiB", flush=True)
        return vectors


def memory() -> float:
    """Return the memory that this process takes, in MiB; where the system does not tell, its peak so far."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize() / (1 << 20)
    return peak_memory()


def peak_memory() -> float:
    """Return the most memory this process has had at a time, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def random_weights(architecture: str, folder: Path) -> Path:
    """Write a checkpoint of an architecture with weights drawn at random."""
    import open_clip
    import torch

    torch.manual_seed(0)
    path = folder / f"{architecture}-random.pt"
    torch.save(open_clip.create_model(architecture).state_dict(), path)
    return path


def main(arguments: Sequence[str] | None = None) -> Watched:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posters", type=Path, help="folder of pictures")
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip; or colours")
    parser.add_argument("--weights", help="a pretrained tag or a checkpoint; else random")
    parser.add_argument("--limit", type=int, help="at most so many posters")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)

    names = sorted(path.stem for path in options.posters.iterdir() if path.suffix.lower() in ENDINGS)
    source = find_posters(names[: options.limit], options.posters)
    with tempfile.TemporaryDirectory() as folder:
        if options.architecture == "colours":
            name = "colours"
        else:
            weights = options.weights or random_weights(options.architecture, Path(folder))
            name = f"clip:{options.architecture}:{weights}"
        watched = Watched(pick(name, "image", device=options.device), len({item.content for item in source.items}))
        encode(source, watched, out=Path(folder) / "out", batch_size=options.batch_size, progress=False)
        print(load_features(Path(folder) / "out")["poster"])
    grown = watched.points[-1][2] - watched.points[0][2]
    print(
        f"memory grew by {grown:,.0f} MiB after the first tenth; its peak, with loading, was {peak_memory():,.0f} MiB"
    )
    return watched


if __name__ == "__main__":
    main()
