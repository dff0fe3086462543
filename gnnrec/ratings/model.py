"""`RatingModel`: a trained graph model with a rating head, saved in the same run folder."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gnnrec._checks import as_path
from gnnrec._io import check_layout, own_file, read_json, stamp, write_json
from gnnrec.config import RatingConfig
from gnnrec.errors import DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.estimator import load as load_recommender
from gnnrec.models.gnn import RecGraph
from gnnrec.models.saved_state import build_with, check_finite
from gnnrec.models.storage import read_consistent, tensors_digest, write_run
from gnnrec.ratings.base import RatingPredictor
from gnnrec.ratings.head import MoviePosterior, RatingHead

FORMAT = 3
"""Layout of the files; raised when older files can no longer be read."""
HEADER, WEIGHTS = "rating.json", "rating.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class RatingModel(RatingPredictor):
    """Predicts ratings of known and new users. Immutable: adding ratings or movies returns a new model.

    Attributes
    ----------
    graph : Graph
        Training ratings and everything added since.
    recommender : RecGraph
        Provides the graph embeddings; it also recommends.
    head : RatingHead
        Predicts ratings from graph embeddings and histories.
    rating_config : RatingConfig
        Config of the head.
    report : dict
        Facts recorded during fitting, as plain JSON values: ``noise``, ``seconds``.

    Examples
    --------
    >>> from gnnrec import Config, fit_rating_model, load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> rating_config = RatingConfig(embedding_dim=4, num_samples=5, burn_in=2)
    >>> dataset = load_dataset("sample", num_users=60, num_movies=40)
    >>> model = fit_rating_model(dataset, config, rating_config, progress=False)
    >>> user, movies = model.graph.users.slice(0, 1), torch.tensor([3, 4])
    >>> ratings = model.predict(user, torch.zeros(2, dtype=torch.int64), movies)
    >>> bool((1 <= ratings).all() and (ratings <= 5).all())
    True
    """

    graph: Graph = field(init=False)
    recommender: RecGraph
    head: RatingHead
    rating_config: RatingConfig
    report: dict[str, Any] = field(default_factory=dict)
    name = "gnnrec"

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", self.recommender.graph)

    @cached_property
    def movie_posterior(self) -> MoviePosterior:
        """Factors of all movies of the graph; computed once."""
        with torch.inference_mode():
            unrated = self.head.movie_factors.size(1) < self.graph.num_movies or not bool(
                self.head.movie_is_rated.all()
            )
            users = self.graph.users
            embeddings = self._graph_embeddings(users) if unrated else torch.empty(users.num_users, 0)
            return self.head.movie_posterior(self.graph, embeddings)

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        with torch.inference_mode():
            embeddings = self._graph_embeddings(users)
            ratings: Tensor = self.head(users, embeddings, self.movie_posterior, user_index, movie_index)
            return ratings

    def with_graph(self, graph: Graph) -> Self:
        """Return the same head on another graph that starts with the same movies, without retraining."""
        return dataclasses.replace(self, recommender=self.recommender.with_graph(graph))

    def save(self, path: str | Path, *, keep: Iterable[str] = ()) -> Path:
        """Save the run as `RecGraph.save` does, with the head in the same folder.

        `gnnrec.load` reads the recommender from it, `load_rating_model` the whole model.

        Parameters
        ----------
        path : str or Path
            Folder of the run.
        keep : iterable of str
            Files to keep from an earlier run; see `RecGraph.save`.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            The folder exists and is not a saved run.
        """
        return write_run(as_path(path, "the folder of a run"), self.recommender, keep, self._write_head)

    def _write_head(self, folder: Path) -> None:
        check_finite(self.head.state_dict(), "the rating head")
        weights = save({name: value.cpu().contiguous() for name, value in self.head.state_dict().items()})
        header = {
            **stamp(FORMAT),
            "rating_config": self.rating_config.model_dump(),
            "sizes": self.head.sizes,
            "recommender": tensors_digest(self.recommender.state()),
            "weights": hashlib.blake2b(weights, digest_size=16).hexdigest(),
            "report": self.report,
        }
        (folder / WEIGHTS).write_bytes(weights)
        write_json(folder / HEADER, header)

    def _graph_embeddings(self, users: UserBatch) -> Tensor:
        """Return the users' graph embeddings on the CPU, ``[num_users, graph_dim]``."""
        if not len(self.head.graph_mean):
            return torch.empty(users.num_users, 0)
        return self.recommender.embed(users)[:, : self.recommender.config.model.network_dim].cpu()

    def __repr__(self) -> str:
        size = f"{self.head.num_samples} samples, {self.rating_config.embedding_dim} factors"
        return f"RatingModel({size}, {self.recommender!r})"


def has_rating_head(path: str | Path) -> bool:
    """Return whether a run folder holds a rating head."""
    return (Path(path) / HEADER).is_file()


def load_rating_model(path: str | Path, device: str = "cpu") -> RatingModel:
    """Load a run folder that `RatingModel.save` wrote.

    Parameters
    ----------
    path : str or Path
        Folder of the run.
    device : str
        PyTorch device of the recommender; the head runs on the CPU.

    Returns
    -------
    RatingModel

    Raises
    ------
    DataError
        The folder is not a saved run, has no rating head or one of another run, or a file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import Config, fit_rating_model, load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> rating_config = RatingConfig(embedding_dim=4, num_samples=5, burn_in=2)
    >>> dataset = load_dataset("sample", num_users=60, num_movies=40)
    >>> model = fit_rating_model(dataset, config, rating_config, progress=False)
    >>> load_rating_model(model.save(tempfile.mkdtemp()))  # doctest: +ELLIPSIS
    RatingModel(5 samples, 4 factors, RecGraph(lightgcn, 8 dimensions, Graph(60 users, ...
    """
    model: RatingModel = read_consistent(as_path(path, "the folder of a run"), partial(_read_model, device=device))
    return model


def _header(folder: Path) -> dict[str, Any]:
    try:
        header = read_json(own_file(folder, HEADER))
    except ValueError as error:
        raise DataError(f"the rating head in {folder} is damaged: {HEADER}: {error}") from None
    if not isinstance(header, dict):
        raise DataError(f"the rating head in {folder} is damaged: {HEADER} is not a JSON object")
    return header


def _read_model(folder: Path, device: str) -> RatingModel:
    recommender = load_recommender(folder, device)
    own_file(folder, HEADER)
    if not has_rating_head(folder):
        raise DataError(f"{folder} has no rating head; fit one with fit_rating_model and save it there")
    try:
        header = _header(folder)
        check_layout(header, FORMAT, f"the rating head in {folder}", "fit it again with fit_rating_model")
        if header["recommender"] != tensors_digest(recommender.state()):
            raise DataError(f"the rating head in {folder} belongs to another run; fit it again with fit_rating_model")
        weights = own_file(folder, WEIGHTS).read_bytes()
        if header["weights"] != hashlib.blake2b(weights, digest_size=16).hexdigest():
            raise DataError(f"the rating head in {folder} is damaged: {WEIGHTS} was changed after it was saved")
        state = load(weights)
        check_finite(state, f"the rating head in {folder}")
        head = build_with(state, lambda: RatingHead(**header["sizes"]))
        return RatingModel(recommender, head.eval(), RatingConfig(**header["rating_config"]), dict(header["report"]))
    except DataError:
        raise
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the rating head in {folder} is damaged: {error}") from error
