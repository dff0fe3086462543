"""`RatingConfig`: the settings of the rating head, in one frozen, checked place."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnnrec.errors import ConfigError


class RatingConfig(BaseModel):
    """Everything `fit_ratings` can be told about the head.

    Examples
    --------
    >>> RatingConfig.of(num_samples=20).num_samples
    20
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    embedding_dim: int = Field(32, ge=1)
    """Width of the vectors of taste."""
    num_samples: int = Field(80, ge=1)
    """Draws of all movies' vectors that are kept and averaged over."""
    burn_in: int = Field(10, ge=0)
    """Draws before the first that is kept."""
    reg: float = Field(5.0, gt=0)
    """Prior precision of what leads from the graph's vectors and content to vectors of taste."""
    half_trust: float = Field(20.0, gt=0)
    """Ratings from which on a person's graph vector counts for more than their profile."""
    use_vectors: bool = True
    """Start from the trained model's vectors; else from profiles, genres and decades alone."""
    seed: int = Field(0, ge=0)
    """Of everything random."""

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Check settings; a `ConfigError` names each wrong one."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
            raise ConfigError("the rating settings are not valid: " + "; ".join(lines)) from None
