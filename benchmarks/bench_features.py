"""Throughput and memory of poster encoding.

    python benchmarks/bench_features.py data/ml-1m/posters --architecture ViT-B-32 --limit 512

Without --weights the weights are random: same speed and memory, meaningless embeddings.
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

from gnnrec.features import FeatureEncoder, encode, find_posters, get_encoder, load_features
from gnnrec.features.sources import POSTER_SUFFIXES


class MeasuredEncoder(FeatureEncoder):
    """Wraps an encoder and reports throughput and memory ten times."""

    modality = "image"

    def __init__(self, encoder: FeatureEncoder, total: int) -> None:
        self.encoder, self.total = encoder, total
        self.name = encoder.name
        self.done = 0
        self.points: list[tuple[int, float, float]] = []
        """Posters, seconds, memory in MiB."""

    @property
    def cache_key(self) -> dict[str, Any]:
        return self.encoder.cache_key

    def load(self) -> None:
        self.encoder.load()
        print(f"loaded, {memory():,.0f} MiB", flush=True)
        self.start = time.perf_counter()

    def preprocess(self, raw: Any) -> Any:
        return self.encoder.preprocess(raw)

    def encode(self, batch: list[Any]) -> np.ndarray:
        vectors = self.encoder.encode(batch)
        before, self.done = self.done, self.done + len(batch)
        if before * 10 // self.total < self.done * 10 // self.total:
            seconds, taken = time.perf_counter() - self.start, memory()
            self.points.append((self.done, seconds, taken))
            print(f"{self.done:>7,} posters {self.done / seconds:>9,.1f} per second {taken:>7,.0f} MiB", flush=True)
        return vectors


def memory() -> float:
    """Return the memory of this process in MiB; the peak where the current value is not available."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize() / (1 << 20)
    return peak_memory()


def peak_memory() -> float:
    """Return the peak memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def random_weights(architecture: str, folder: Path) -> Path:
    """Write a checkpoint of an architecture with random weights."""
    import open_clip
    import torch

    torch.manual_seed(0)
    path = folder / f"{architecture}-random.pt"
    torch.save(open_clip.create_model(architecture).state_dict(), path)
    return path


def main(arguments: Sequence[str] | None = None) -> MeasuredEncoder:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posters", type=Path, help="folder of posters")
    parser.add_argument("--architecture", default="ViT-B-32", help="open_clip architecture, or color")
    parser.add_argument("--weights", help="pretrained tag or checkpoint; random by default")
    parser.add_argument("--limit", type=int, help="maximum number of posters")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)

    names = sorted(path.stem for path in options.posters.iterdir() if path.suffix.lower() in POSTER_SUFFIXES)
    source = find_posters(names[: options.limit], options.posters)
    with tempfile.TemporaryDirectory() as folder:
        if options.architecture == "color":
            name = "color"
        else:
            weights = options.weights or random_weights(options.architecture, Path(folder))
            name = f"clip:{options.architecture}:{weights}"
        total = len({item.content_hash for item in source.items})
        measured = MeasuredEncoder(get_encoder(name, "image", device=options.device), total)
        encode(source, measured, out=Path(folder) / "out", batch_size=options.batch_size, progress=False, log=print)
        print(load_features(Path(folder) / "out")["poster"])
    grown = measured.points[-1][2] - measured.points[0][2]
    print(f"memory grew by {grown:,.0f} MiB after the first tenth; peak including loading: {peak_memory():,.0f} MiB")
    return measured


if __name__ == "__main__":
    main()
