"""`Estimator`: the hyperparameters of a model, and `fit`, which turns data into a fitted model.

``EASE(reg=500).fit(split)`` and ``gnnrec.fit(split, "ease", reg=500)`` do the same. Hyperparameters are frozen; fitting
returns a `Recommender` and changes nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gnnrec._checks import as_path
from gnnrec._locks import claim
from gnnrec._torch import check_scores, memory_errors, pick_device
from gnnrec.config import Settings
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import Validation
from gnnrec.graph import Graph
from gnnrec.models.base import Recommender
from gnnrec.models.sharing import shareable
from gnnrec.models.storage import read_run
from gnnrec.registry import MODELS, Registry
from gnnrec.splitting import Split
from gnnrec.training.callbacks import Callback, CallbackList
from gnnrec.training.loop import FitRun


class BaseEstimator(Settings, ABC):
    """Hyperparameters of a model and the way to fit it.

    Attributes
    ----------
    name : str
        Registered name; the name of the class until it is registered.
    package : str or None
        Package that must be installed, by its import name.
    extra : str or None
        Extra of gnnrec that installs it.
    trains_in_epochs : bool
        Whether there are epochs for callbacks to act on.
    serves_new_users : bool
        Whether the fitted model can score users without training ratings.
    can_continue : bool
        Whether training can start from a fitted model.

    Examples
    --------
    >>> from gnnrec.models import MF
    >>> estimator = MF(embedding_dim=8, seed=3)
    >>> estimator.name, estimator.random_seed, estimator.with_seed(4).random_seed
    ('mf', 3, 4)
    >>> estimator.trains_in_epochs, estimator.serves_new_users
    (True, False)
    """

    name: ClassVar[str] = ""
    package: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    trains_in_epochs: ClassVar[bool] = False
    serves_new_users: ClassVar[bool] = True
    can_continue: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        # Not inherited: a subclass must not be saved under the name of its base class.
        cls.name = cls.__name__

    @property
    def random_seed(self) -> int | None:
        """Random seed of the fit; None for models without randomness."""
        return getattr(self, "seed", None)

    def with_seed(self, seed: int) -> Self:
        """Return the estimator with another random seed; the same for models without randomness."""
        return self if self.random_seed is None else type(self)(**{**dict(self), "seed": seed})

    @abstractmethod
    def fit(
        self,
        data: Dataset | Split,
        *,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        run_dir: str | Path | None = None,
        resume: bool = False,
        start: Recommender | None = None,
    ) -> Recommender:
        """Fit the model; see `gnnrec.fit`."""

    @abstractmethod
    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> Recommender:
        """Rebuild the fitted model from the tensors of `Recommender.state`."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the estimator with the hyperparameters of a saved run."""
        return cls(**settings)

    @classmethod
    def continuing(cls, start: Recommender) -> Self:
        """Return the estimator that continues the training of a fitted model, with its settings."""
        return cls.from_settings(start.hyperparameters)

    @classmethod
    def names_in(cls, settings: Mapping[str, Any]) -> list[tuple[Registry, Any]]:
        """Return the registered names that a saved run refers to, with their registries."""
        return []

    @classmethod
    def check_installed(cls) -> None:
        """Raise a `ConfigError` if the package that the model needs is missing or cannot be imported."""
        if cls.package is None:
            return
        needed = f"the model {cls.name} needs the package {cls.package}"
        if importlib.util.find_spec(cls.package) is None:
            how = f"pip install 'gnnrec[{cls.extra}]'" if cls.extra else f"pip install {cls.package}"
            raise ConfigError(f"{needed}; install it with: {how}")
        try:
            importlib.import_module(cls.package)
        except ImportError as error:
            raise ConfigError(f"{needed}, which is installed but cannot be imported: {error}") from error


class Estimator(BaseEstimator):
    """Base class of all models but the graph neural network, and of your own.

    Declare hyperparameters as fields and implement `fit_graph` and `restore`. Register the class to use it by name::

        @register_model("mine")
        class Mine(Estimator):
            shrinkage: float = Field(10.0, ge=0)

            def fit_graph(self, graph, run):
                return MineModel(graph, self, weights)

            def restore(self, graph, state):
                return MineModel(graph, self, state["weights"])

    Examples
    --------
    >>> from pydantic import Field
    >>> from gnnrec.models.popularity import PopularityModel, movie_counts
    >>> class Rarity(Estimator):
    ...     power: float = Field(1.0, gt=0)
    ...
    ...     def fit_graph(self, graph, run):
    ...         return PopularityModel(graph, -(movie_counts(graph) ** self.power), self)
    ...
    ...     def restore(self, graph, state):
    ...         return PopularityModel(graph, state["counts"], self)
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 3, 3], "movie_id": [20, 20, 20, 10]})
    >>> gnnrec.fit(gnnrec.Dataset(ratings), Rarity(power=2)).recommend({})["movie_id"].tolist()
    [10, 20]
    """

    def fit(
        self,
        data: Dataset | Split,
        *,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        run_dir: str | Path | None = None,
        resume: bool = False,
        start: Recommender | None = None,
    ) -> Recommender:
        """Fit the model.

        Parameters
        ----------
        data : Dataset or Split
            Of a split the training ratings are used; models trained in epochs keep the epoch with the best NDCG@20 on
            the validation ratings. Of a dataset all ratings are used, for all epochs.
        callbacks : sequence of Callback
            Called between epochs.
        progress : bool
            Show a progress bar.
        run_dir : str or Path, optional
            Folder to save the fitted model in.
        resume : bool
            Only the graph neural network can be resumed.
        start : Recommender, optional
            Only the graph neural network can continue from a fitted model.

        Returns
        -------
        Recommender

        Raises
        ------
        DataError
            `data` is neither a `Dataset` nor a `Split`, or does not suit the model.
        ConfigError
            A package that the model needs is not installed, or a callback is not a `Callback`.
        FloatingPointError
            The loss is not finite.
        StorageError
            The folder cannot be written, or another process trains into it.
        OutOfMemoryError
            There is not enough memory.
        """
        check_fit_data(data)
        if resume:
            raise ConfigError(f"the model {self.name} cannot be resumed; only the graph neural network can")
        if start is not None:
            raise _cannot_continue(self.name)
        self.check_installed()
        CallbackList(callbacks)  # validates callbacks before the graph is built
        with memory_errors("training"), claim(run_dir):
            graph = training_graph(data.dataset if isinstance(data, Split) else data)
            run = FitRun(
                validate=validation_of(data),
                callbacks=callbacks,
                progress=progress and self.trains_in_epochs,
                model=self.name,
                settings=self.model_dump(mode="json"),
            )
            fitted = self.fit_graph(graph, run).with_records(run.history, {})
            if run_dir is not None:
                fitted.save(run_dir)
            return fitted

    @abstractmethod
    def fit_graph(self, graph: Graph, run: FitRun) -> Recommender:
        """Fit the model on the graph of the training ratings.

        Parameters
        ----------
        graph : Graph
        run : FitRun
            For models trained in epochs: `FitRun.run_epochs` handles validation, early stopping and callbacks.
        """


def fit(
    data: Dataset | Split,
    model: str | BaseEstimator | type[BaseEstimator] = "gnn",
    *,
    callbacks: Sequence[Callback] = (),
    run_dir: str | Path | None = None,
    resume: bool = False,
    start: Recommender | None = None,
    progress: bool = True,
    **hyperparameters: Any,
) -> Any:
    """Fit a model: the graph neural network, or any other by name.

    Parameters
    ----------
    data : Dataset or Split
        With a split, the model is trained on the training ratings and validated on the validation ratings. With a
        dataset, the graph neural network keeps a tenth of each user's ratings for validation; the fitted model's graph
        has all ratings.
    model : str, Estimator or class
        A registered name such as ``"gnn"`` (the default) or ``"ease"``, an estimator, or an estimator class.
    callbacks : sequence of Callback
        Called between epochs, such as ``[EarlyStopping(patience=5), TimeLimit(600)]``.
    run_dir : str or Path, optional
        Folder to save the run in. The graph neural network can be loaded from it and resumed as soon as one epoch is
        complete, even after Ctrl-C; other models are saved when they are fitted.
    resume : bool
        Continue the run in `run_dir` (graph neural network only). The result equals that of an uninterrupted run.
    start : RecGraph, optional
        Continue the training of this model on other data, usually with more ratings, users and movies (graph neural
        network only). If no config is given, it is that of the model, with the learning rate at which its training
        ended. The model is not changed; if no epoch is better on the validation ratings, the result has its weights.
        With a dataset, ratings for validation are taken from those that are not in its graph.
    progress : bool
        Show a progress bar.
    **hyperparameters
        Hyperparameters of the model: ``config=Config(...)`` for the graph neural network, ``reg=500`` for EASE.

    Returns
    -------
    Recommender
        The fitted model, with the weights of the best epoch; a `RecGraph` for the graph neural network.

    Raises
    ------
    ConfigError
        The model or a hyperparameter does not exist or has a wrong value, the device cannot be used, the run to resume
        has another config or other data, or `start` is another model or its network has other sizes.
    DataError
        `data` is neither a `Dataset` nor a `Split`, or lacks what the model needs, such as timestamps. It has other
        features than the data that `start` was trained on, or no new ratings; or `start` was trained on validation or
        test ratings of the split.
    FloatingPointError
        The loss, or a weight, is not finite.
    StorageError
        The folder cannot be written, or another process trains into it.
    OutOfMemoryError
        There is not enough memory.

    Examples
    --------
    >>> from gnnrec import Config, load_dataset
    >>> dataset = load_dataset("sample", num_users=60, num_movies=40)
    >>> config = Config().override(["train.epochs=2", "model.embedding_dim=16"])
    >>> fit(dataset, config=config, progress=False)  # doctest: +ELLIPSIS
    RecGraph(lightgcn, 16 dimensions, Graph(60 users, ...
    >>> fit(dataset, "ease", reg=500).name
    'ease'
    """
    estimator = get_estimator(model, start, **hyperparameters)
    continued: dict[str, Any] = {} if start is None else {"start": start}
    return estimator.fit(data, callbacks=callbacks, progress=progress, run_dir=run_dir, resume=resume, **continued)


def _cannot_continue(name: str) -> ConfigError:
    return ConfigError(f"the model {name} cannot continue from a fitted model; only the graph neural network can")


def get_estimator(
    model: str | BaseEstimator | type[BaseEstimator], start: Recommender | None = None, /, **hyperparameters: Any
) -> BaseEstimator:
    """Return an estimator by registered name, from a class, or as given.

    With `start`, the settings are those of this fitted model, unless the hyperparameters contain a config.

    Raises
    ------
    ConfigError
        The name or a hyperparameter does not exist, a value is wrong, or the model cannot continue from `start`.
    """
    if isinstance(model, str):
        model = MODELS.get(model)
    if isinstance(model, Settings) and not isinstance(model, BaseEstimator):
        raise ConfigError(f"fit takes settings by name: fit(data, config=...), not {type(model).__name__} as the model")
    if isinstance(model, type) and issubclass(model, BaseEstimator):
        if start is None or hyperparameters.get("config") is not None:
            return model(**hyperparameters)
        if not model.can_continue:
            raise _cannot_continue(model.name)
        is_same = getattr(start, "name", None) == model.name  # else `fit` says what is wrong with it
        model = model.continuing(start) if is_same else model()
    if not isinstance(model, BaseEstimator):
        raise ConfigError(f"a model is a name, an Estimator or an Estimator class, not {type(model).__name__}")
    return type(model)(**{**dict(model), **hyperparameters}) if hyperparameters else model


def load(path: str | Path, device: str = "cpu") -> Any:
    """Load a fitted model from a folder that `Recommender.save` or `fit` wrote.

    Parameters
    ----------
    path : str or Path
    device : str
        Device for models with a network; ``"auto"`` uses a GPU if available.

    Returns
    -------
    Recommender
        A `RecGraph` or any other model.

    Raises
    ------
    DataError
        The folder is not a saved run, or a file in it is damaged.
    ConfigError
        The device cannot be used, a package is missing, or the model, its encoder, loss or metric is not registered
        (load its plugin first).

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import load_dataset
    >>> model = fit(load_dataset("sample", num_users=60, num_movies=40), "ease")
    >>> load(model.save(tempfile.mkdtemp())).name
    'ease'
    """
    pick_device(device)
    with memory_errors(f"the run {path}"):
        return _load(as_path(path, "the folder of a run"), device)


def _load(path: Path, device: str) -> Any:
    run = read_run(path)
    cls: type[BaseEstimator] = _registered(MODELS, run.model, path)
    for registry, name in cls.names_in(run.settings):
        _registered(registry, name, path)
    try:
        estimator = cls.from_settings(run.settings)
    except ConfigError as error:
        raise DataError(f"the saved run {path} is damaged: {error}") from None
    estimator.check_installed()
    try:
        fitted = estimator.restore(run.graph, run.state)
        if isinstance(estimator, Estimator) and run.graph.num_users:  # networks were compared with their weights
            check_scores(_first_scores(fitted), fitted.name, lambda: run.graph.ids["user"][:1].tolist())
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the saved run {path} is damaged: its weights do not fit its config: {error}") from None
    return fitted.to(device).with_records(run.records["history"], run.records["report"])


def _first_scores(fitted: Recommender) -> Tensor:
    """Score one user; raise LookupError unless there is a score for every movie of the graph."""
    graph = fitted.graph
    scores = fitted.score(graph.user_batch(torch.tensor([0])))
    if tuple(scores.shape) != (1, graph.num_movies) or not scores.is_floating_point():
        raise LookupError(f"it scores {list(scores.shape)} movies of {graph.num_movies:,}")
    return scores


def _registered(registry: Registry, name: str, path: str | Path) -> Any:
    """Return the registered object that a saved run refers to; raise an error that names the missing plugin."""
    try:
        return registry.get(name)
    except ConfigError as error:
        raise ConfigError(
            f"{error}. The saved run {path} needs the {registry.kind} {name!r}, which is not registered; "
            "load its plugin first, with gnnrec.load_plugins"
        ) from None


@shareable
def training_graph(dataset: Dataset) -> Graph:
    """Return the graph of the training ratings."""
    return Graph.from_dataset(dataset)


def check_fit_data(data: Any) -> None:
    """Raise a `DataError` for anything but a `Dataset` or a `Split`."""
    if not isinstance(data, (Dataset, Split)):
        raise DataError(f"fit takes a Dataset or a Split, not {type(data).__name__}; load_dataset returns a Dataset")


def validation_of(data: Dataset | Split) -> Callable[[Recommender], float] | None:
    """Return the model selection score, NDCG@20 on the validation ratings; None without validation ratings."""
    if isinstance(data, Split) and len(data.valid):
        return Validation(data)
    return None
