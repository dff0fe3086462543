"""`RatingConfig`: settings of the rating head, frozen and validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnnrec.config import _explain
from gnnrec.errors import ConfigError


class RatingConfig(BaseModel):
    """Settings of the rating head that `fit_rating_model` fits.

    Raises
    ------
    ConfigError
        A setting is unknown or out of range; the message names each one.

    Examples
    --------
    >>> RatingConfig(num_samples=20).num_samples
    20
    >>> RatingConfig(num_sample=20)
    Traceback (most recent call last):
    gnnrec.errors.ConfigError: the rating config is not valid:
      num_sample: there is no such key; did you mean num_samples?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    embedding_dim: int = Field(32, ge=1)
    """Number of latent factors per user and movie, not counting the bias."""
    num_samples: int = Field(80, ge=1)
    """Number of posterior samples that are kept and averaged over."""
    burn_in: int = Field(10, ge=0)
    """Number of Gibbs steps before the first kept sample."""
    reg: float = Field(5.0, gt=0)
    """Ridge penalty of the regression from graph embeddings and features to latent factors."""
    profile_shrinkage: float = Field(20.0, gt=0)
    """Number of ratings at which the graph embedding and the profile contribute equally to a user's prior."""
    use_graph_embeddings: bool = True
    """Include the graph embeddings in the priors; otherwise only profiles, genres and decades."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    if not TYPE_CHECKING:  # type checkers keep the signature that pydantic derives from the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                lines = [f"  {'.'.join(map(str, e['loc']))}: {_explain(e, type(self))}" for e in error.errors()]
                raise ConfigError("the rating config is not valid:\n" + "\n".join(lines)) from None
