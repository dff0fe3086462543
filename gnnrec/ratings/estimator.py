"""`RatingEstimator`: hyperparameters of a rating model, and `fit`, which turns data into a fitted predictor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from gnnrec.config import Settings
from gnnrec.data import Dataset
from gnnrec.graph import Graph
from gnnrec.models.estimator import check_fit_data
from gnnrec.ratings.base import RatingPredictor, check_ratings
from gnnrec.ratings.predict import rmse
from gnnrec.splitting import Split
from gnnrec.training.callbacks import Callback, CallbackList
from gnnrec.training.loop import FitRun


class RatingEstimator(Settings, ABC):
    """Hyperparameters of a rating model. Immutable: fitting returns a `RatingPredictor` and changes nothing.

    Attributes
    ----------
    name : str
        Name in reports.
    trains_in_epochs : bool
        Whether there are epochs for callbacks to act on.

    Examples
    --------
    >>> from gnnrec.ratings import Biases
    >>> estimator = Biases(movie_reg=5)
    >>> isinstance(estimator, RatingEstimator), estimator.name, estimator.fit(dataset).graph.num_users
    (True, 'biases', 60)
    """

    name: ClassVar[str] = ""
    trains_in_epochs: ClassVar[bool] = False

    def fit(
        self, data: Dataset | Split, *, callbacks: Sequence[Callback] = (), progress: bool = False
    ) -> RatingPredictor:
        """Fit the model.

        Parameters
        ----------
        data : Dataset or Split
            Of a split the training ratings are used; models trained in epochs keep the epoch with the lowest RMSE on
            the validation ratings. Of a dataset all ratings are used, for all epochs.
        callbacks : sequence of Callback
            Called between epochs.
        progress : bool
            Show a progress bar.

        Returns
        -------
        RatingPredictor

        Raises
        ------
        DataError
            `data` is neither a `Dataset` nor a `Split`, or does not have different ratings.
        ConfigError
            A callback is not a `Callback`.
        FloatingPointError
            The loss is not finite.
        """
        check_fit_data(data)
        CallbackList(callbacks)  # validates callbacks before the graph is built
        dataset = data.dataset if isinstance(data, Split) else data
        check_ratings(dataset)
        run = FitRun(
            validate=_validation(data),
            metric="negative_rmse",
            callbacks=callbacks,
            progress=progress and self.trains_in_epochs,
            model=self.name,
            settings=self.model_dump(mode="json"),
        )
        return self.fit_graph(Graph.from_dataset(dataset), run)

    @abstractmethod
    def fit_graph(self, graph: Graph, run: FitRun) -> RatingPredictor:
        """Fit the model on the graph of the training ratings.

        Parameters
        ----------
        graph : Graph
        run : FitRun
            For models trained in epochs: `FitRun.run_epochs` handles validation, early stopping and callbacks.
        """


def _validation(data: Dataset | Split) -> Callable[[RatingPredictor], float] | None:
    """Return the function that epochs are selected by, higher is better; None without validation ratings."""
    if not isinstance(data, Split) or data.valid.empty:
        return None
    return lambda model: -rmse(model if data.support is None else model.add_ratings(data.support), data.valid)
