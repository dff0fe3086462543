"""`RatingModel`: a trained graph model with a rating head; saved beside it in the same folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gnnrec._io import write_atomic
from gnnrec.errors import DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.gnn import RecGraph
from gnnrec.models.gnn import load as load_model
from gnnrec.rating.base import RatingPredictor
from gnnrec.rating.config import RatingConfig
from gnnrec.rating.head import MovieTastes, RatingHead

FORMAT = 1
HEADER, WEIGHTS = "rating.json", "rating.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class RatingModel(RatingPredictor):
    """Predicts ratings of known and new people. It is never changed: what adds to it returns a new one.

    Attributes
    ----------
    graph : Graph
        Everything it may look at: the training ratings and what was added since.
    model : RecGraph
        Gives the vectors; recommends, too.
    head : RatingHead
        Makes ratings of vectors and ratings.
    settings : RatingConfig
        How the head was made.
    report : dict
        Facts that were recorded with it, as plain JSON values.

    Examples
    --------
    >>> from gnnrec import Config, fit_ratings, load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> settings = RatingConfig.of(embedding_dim=4, num_samples=5, burn_in=2)
    >>> model = fit_ratings(load_dataset("sample", n_users=60, n_movies=40), config, settings, progress=False)
    >>> one, movies = model.graph.users.slice(0, 1), torch.tensor([3, 4])
    >>> stars = model.predict(one, torch.zeros(2, dtype=torch.int64), movies)  # in the units of the ratings
    >>> bool((1 <= stars).all() and (stars <= 5).all()), model.model.graph is model.graph
    (True, True)
    """

    graph: Graph = field(init=False)
    model: RecGraph
    head: RatingHead
    settings: RatingConfig
    report: dict[str, Any] = field(default_factory=dict)
    name = "gnnrec"

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", self.model.graph)

    @cached_property
    def tastes(self) -> MovieTastes:
        """All movies of the graph as the head sees them; computed once."""
        with torch.inference_mode():
            unplaced = self.head.movies.size(1) < self.graph.num_movies or not bool(self.head.is_rated.all())
            users = self.graph.users
            vectors = self._vectors(users) if unplaced else torch.empty(users.num_users, 0)
            return self.head.tastes(self.graph, vectors)

    def predict(self, users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        with torch.inference_mode():
            return self.head(users, self._vectors(users), self.tastes, row, movie)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same head on another graph that begins with the same movies; nothing is trained."""
        return dataclasses.replace(self, model=self.model.with_graph(graph))

    def save(self, path: str | Path, *, keep: Iterable[str] = ()) -> Path:
        """Write the run as `RecGraph.save` does, and the head into the same folder.

        `gnnrec.load` reads the model back from it, `load_ratings` the whole.

        Parameters
        ----------
        path : str or Path
        keep : iterable of str
            As for `RecGraph.save`.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            The folder exists and is not a saved run.
        """
        folder = self.model.save(path, keep=keep)
        weights = {name: value.cpu().contiguous() for name, value in self.head.state_dict().items()}
        content = {
            "format": FORMAT,
            "settings": self.settings.model_dump(),
            "sizes": self.head.sizes,
            "weights_of_the_run": _digest(folder),
            "report": self.report,
        }
        write_atomic(folder / WEIGHTS, save(weights))
        write_atomic(folder / HEADER, json.dumps(content, indent=2, ensure_ascii=False).encode())
        return folder

    def _vectors(self, users: UserBatch) -> Tensor:
        """Return the graph's vectors of people, on the CPU; of width 0 where the head takes none."""
        return self.model.embed(users).cpu() if len(self.head.center) else torch.empty(users.num_users, 0)

    def __repr__(self) -> str:
        return f"RatingModel({self.head.num_samples} draws of {self.settings.embedding_dim} dimensions, {self.model!r})"


def load_ratings(path: str | Path, device: str = "cpu") -> RatingModel:
    """Read a folder that `RatingModel.save` wrote.

    Parameters
    ----------
    path : str or Path
    device : str
        Where the network shall run; the head runs on the CPU.

    Raises
    ------
    DataError
        The folder is not a saved run, has no rating head or another run's, or a file in it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import Config, fit_ratings, load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> settings = RatingConfig.of(embedding_dim=4, num_samples=5, burn_in=2)
    >>> model = fit_ratings(load_dataset("sample", n_users=60, n_movies=40), config, settings, progress=False)
    >>> load_ratings(model.save(tempfile.mkdtemp()))  # doctest: +ELLIPSIS
    RatingModel(5 draws of 4 dimensions, RecGraph(lightgcn, 8 dimensions, Graph(60 users, ...
    """
    folder = Path(path)
    model = load_model(folder, device)
    if not (folder / HEADER).is_file():
        raise DataError(f"{folder} has no rating head; make one with fit_ratings and save it there")
    try:
        content = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DataError(f"the rating head in {folder} has layout {content['format']}; this version reads {FORMAT}")
        if content["weights_of_the_run"] != _digest(folder):
            raise DataError(f"the rating head in {folder} was made for another run; make it anew with fit_ratings")
        head = RatingHead(**content["sizes"])
        head.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        return RatingModel(model, head.eval(), RatingConfig.of(**content["settings"]), content["report"])
    except DataError:
        raise
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the rating head in {folder} is damaged: {error}") from error


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
