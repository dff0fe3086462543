"""`MovieIndex`: approximate search for the best movies in catalogs of 100,000 movies and more (faiss)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gnnrec._checks import as_path, check_integer, shown
from gnnrec._io import check_layout, own_file, stamp, write_atomic
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.storage import tensors_digest
from gnnrec.nn import MovieEmbeddings

INDEX = "index.safetensors"
"""File in a run folder."""
FORMAT = 1
"""Layout of the file."""
DEPTH = 10
"""List length at which recall is measured."""
SAMPLE = 1000
"""Maximum number of users on whom recall is measured."""
POINTS_PER_LIST = 64
"""Maximum number of movies per list from which its centroid is computed."""


class Embedder(Protocol):
    """A model that scores movies by inner products of embeddings, as `RecGraph` does."""

    @property
    def graph(self) -> Graph:
        """The graph with the movies."""

    @property
    def movie_embeddings(self) -> MovieEmbeddings:
        """Embeddings of the movies."""

    def embed(self, users: UserBatch) -> Tensor:
        """Return the embeddings of a batch of users, ``[num_users, dim]``."""


@dataclass(frozen=True, eq=False)
class MovieIndex:
    r"""An inverted file of movie embeddings, for :class:`RecGraph` models.

    Movies are divided into lists by k-means. For each user, only the lists whose centroids have the largest inner
    products with the user embedding are searched; the scores are exact. As many lists are searched as it takes to reach
    a given recall on users of the graph: the share of their exact top 10 that is found.

    Attributes
    ----------
    targets : Tensor
        ``[num_movies, dim]`` float32, movie embeddings on the CPU.
    centroids : Tensor
        ``[num_lists, dim]`` float32.
    lists : Tensor
        ``[num_movies]`` int64, list of each movie.
    num_probes : int
        Number of lists that are searched per user.
    recall : float
        Measured recall at 10.

    References
    ----------
    Jégou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, TPAMI 2011, section 4 (inverted file);
    Douze et al., The Faiss library, 2024.

    Examples
    --------
    >>> import gnnrec
    >>> config = gnnrec.Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> model = gnnrec.fit(gnnrec.load_dataset("sample", num_users=60, num_movies=40), config=config, progress=False)
    >>> index = MovieIndex.build(model, recall=1.0)
    >>> len(index.targets), len(index.centroids), index.recall
    (40, 25, 1.0)
    >>> lists = gnnrec.recommend(model, [5, 6], k=3, index=index), gnnrec.recommend(model, [5, 6], k=3)
    >>> lists[0]["movie_id"].tolist() == lists[1]["movie_id"].tolist()
    True
    """

    targets: Tensor
    centroids: Tensor
    lists: Tensor
    num_probes: int
    recall: float

    @classmethod
    def build(cls, model: Embedder, *, recall: float = 0.99, seed: int = 0) -> Self:
        """Build an index of the movies of a model.

        Parameters
        ----------
        model : RecGraph
        recall : float
            Recall at 10 to reach, above 0 and at most 1.
        seed : int
            Random seed of k-means, and of the users on whom recall is measured.

        Raises
        ------
        ConfigError
            `model` is not a `RecGraph`, `recall` is out of range, or faiss is not installed.
        """
        if not hasattr(model, "movie_embeddings"):
            raise ConfigError(
                f"an index needs embeddings of users, which only the graph neural network has, not {shown(model)}"
            )
        if isinstance(recall, bool) or not isinstance(recall, int | float) or not 0 < recall <= 1:
            raise ConfigError(f"recall must be above 0 and at most 1, not {shown(recall)}")
        check_integer(0, seed=seed)
        return cls.from_embeddings(_targets(model), _sample_users(model, seed), recall=recall, seed=seed)

    @classmethod
    def from_embeddings(cls, targets: Tensor, users: Tensor, *, recall: float = 0.99, seed: int = 0) -> Self:
        """Build an index of movie embeddings.

        Parameters
        ----------
        targets : Tensor
            ``[num_movies, dim]`` float32, movie embeddings.
        users : Tensor
            ``[n, dim]``, user embeddings on which recall is measured.
        recall, seed
            As for `build`.
        """
        faiss = _import_faiss()
        num_lists = max(1, min(len(targets), round(4 * math.sqrt(len(targets)))))
        clustering = faiss.Clustering(targets.size(1), num_lists)
        clustering.seed, clustering.niter = seed, 10
        clustering.max_points_per_centroid, clustering.min_points_per_centroid = POINTS_PER_LIST, 1
        nearest = faiss.IndexFlatL2(targets.size(1))
        clustering.train(targets.numpy(), nearest)
        centroids = torch.from_numpy(nearest.reconstruct_n(0, num_lists))
        lists = torch.from_numpy(nearest.search(targets.numpy(), 1)[1][:, 0].copy())
        return cls(targets, centroids, lists, num_lists, 1.0)._calibrated(users, recall)

    def _calibrated(self, users: Tensor, recall: float) -> Self:
        """Return the index with the fewest lists per user that reach a recall."""
        depth = min(DEPTH, len(self.targets))
        exact = torch.cat([(part @ self.targets.T).topk(depth).indices for part in users.split(64)])
        num_lists, probes = len(self.centroids), 1
        while True:
            tried = type(self)(self.targets, self.centroids, self.lists, min(probes, num_lists), 1.0)
            found = tried.search(users, depth)[1]
            reached = float((found.unsqueeze(2) == exact.unsqueeze(1)).any(2).float().mean()) if len(users) else 1.0
            if reached >= recall or probes >= num_lists:
                return type(self)(self.targets, self.centroids, self.lists, tried.num_probes, reached)
            probes += max(1, probes // 4)

    @cached_property
    def _faiss(self) -> Any:
        faiss = _import_faiss()
        num_movies, dim = self.targets.shape
        quantizer = faiss.IndexFlatIP(dim)
        quantizer.add(self.centroids.numpy())
        index = faiss.IndexIVFFlat(quantizer, dim, len(self.centroids), faiss.METRIC_INNER_PRODUCT)
        values, ids, lists = self.targets.numpy(), np.arange(num_movies), self.lists.numpy()
        index.add_core(num_movies, faiss.swig_ptr(values), faiss.swig_ptr(ids), faiss.swig_ptr(lists))
        return index

    def search(self, users: Tensor, k: int, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find movies with large inner products.

        Parameters
        ----------
        users : Tensor
            ``[num_users, dim]``, user embeddings.
        k : int
            Number of movies per user.
        allowed : Tensor, optional
            ``[num_movies]`` bool; other movies are not found.

        Returns
        -------
        scores, movies : Tensor
            ``[num_users, k]`` float32 and int64, best first, equal scores in the order of the movie table; ``-inf`` and
            -1 where fewer movies are found.
        """
        faiss = _import_faiss()
        options: dict[str, Any] = {"nprobe": self.num_probes}
        if allowed is not None:
            bits = np.packbits(allowed.numpy(), bitorder="little")
            options["sel"] = faiss.IDSelectorBitmap(bits)
        found = self._faiss.search(
            users.cpu().float().contiguous().numpy(), k, params=faiss.SearchParametersIVF(**options)
        )
        values, movies = (torch.from_numpy(one) for one in found)
        values = values.masked_fill(movies < 0, -torch.inf)
        movies, order = movies.sort(dim=1, stable=True)
        values = values.gather(1, order)
        values, order = values.sort(dim=1, stable=True, descending=True)
        return values, movies.gather(1, order)

    def check(self, model: Embedder) -> None:
        """Raise a `ConfigError` unless the index was built for the movies of this model."""
        if not hasattr(model, "movie_embeddings"):
            raise ConfigError(f"an index only works with the graph neural network, not with {shown(model)}")
        if self.__dict__.get("_checked") is model.movie_embeddings:
            return
        if not torch.equal(_targets(model), self.targets):
            raise ConfigError("the index was built for other movies or another training; build it again")
        self.__dict__["_checked"] = model.movie_embeddings

    def save(self, run: str | Path) -> Path:
        """Write the index into the folder of the run that it belongs to; return the path of the file.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        path = as_path(run, "the folder of a run") / INDEX
        if not path.parent.is_dir():
            raise DataError(f"there is no run {path.parent}; save the model first")
        tensors = {"centroids": self.centroids.contiguous(), "lists": self.lists.to(torch.int32)}
        header = stamp(FORMAT) | {
            "num_probes": self.num_probes,
            "recall": self.recall,
            "targets": tensors_digest({"targets": self.targets}),
            "digest": tensors_digest(tensors),
        }
        write_atomic(path, save(tensors, {"gnnrec": json.dumps(header)}))
        return path

    @classmethod
    def load(cls, run: str | Path, model: Embedder) -> Self:
        """Read the index of a saved run.

        Parameters
        ----------
        run : str or Path
        model : RecGraph
            The model of the run.

        Raises
        ------
        DataError
            There is no index, it is damaged, or it belongs to another model.
        """
        folder = as_path(run, "the folder of a run")
        path = own_file(folder, INDEX)
        if not path.exists():
            raise DataError(f"{folder} has no index; build it with: gnnrec index {folder}")
        targets = _targets(model)
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["gnnrec"])
                check_layout(header, FORMAT, str(path), f"build it again with: gnnrec index {folder}")
                if header["targets"] != tensors_digest({"targets": targets}):
                    raise DataError(f"{path} belongs to another model; build it again with: gnnrec index {folder}")
                tensors = {name: file.get_tensor(name) for name in ("centroids", "lists")}
            centroids, lists = tensors["centroids"], tensors["lists"]
            probes, recall = int(header["num_probes"]), float(header["recall"])
            if header["digest"] != tensors_digest(tensors):
                raise ValueError("it was changed after it was saved")
            if centroids.dtype != torch.float32 or centroids.dim() != 2 or centroids.size(1) != targets.size(1):
                raise ValueError(f"centroids have the shape {list(centroids.shape)}")
            if lists.shape != targets.shape[:1] or not bool(((lists >= 0) & (lists < len(centroids))).all()):
                raise ValueError("movies are in lists that do not exist")
            if not bool(centroids.isfinite().all()) or not 1 <= probes <= len(centroids):
                raise ValueError("it has values out of range")
        except (SafetensorError, ValueError, TypeError, LookupError) as error:
            raise DataError(f"{path} is damaged: {error}; build it again with: gnnrec index {folder}") from None
        return cls(targets, centroids, lists.long(), probes, recall)

    def __repr__(self) -> str:
        return (
            f"MovieIndex({len(self.targets):,} movies in {len(self.centroids):,} lists, recall {self.recall:.3f} with "
            f"{self.num_probes:,} lists per user)"
        )


def _targets(model: Embedder) -> Tensor:
    return model.movie_embeddings.targets.detach().cpu().float().contiguous()


def _sample_users(model: Embedder, seed: int) -> Tensor:
    """Return embeddings of users of the graph, ``[at most SAMPLE, dim]``."""
    number = model.graph.num_users
    chosen = torch.randperm(number, generator=torch.Generator().manual_seed(seed))[:SAMPLE].sort().values
    return model.embed(model.graph.user_batch(chosen)).cpu().float()


def _import_faiss() -> ModuleType:
    try:
        import faiss
    except ModuleNotFoundError:
        raise ConfigError("an index needs the package faiss: pip install 'gnnrec[index]'") from None
    module: ModuleType = faiss
    return module
