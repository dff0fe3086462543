"""Few numbers about each movie that tell more together than each alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

FACTS = {"year": (1985.0, 15.0), "runtime": (100.0, 25.0), "words": (4.0, 1.0)}
"""What is taken off each and what it is divided by: years, minutes, and the logarithm of the plot's number of words."""


def movie_facts(movies: pd.DataFrame) -> Tensor:
    """Return ``[num_movies, 6]``: year, runtime and length of the plot, then which of them are known.

    Each is of a size near 1, and 0 where it is not known.
    """
    nothing = pd.Series(np.nan, index=movies.index)
    words = [len(plot.split()) if isinstance(plot, str) else 0 for plot in movies.get("plot", nothing)]
    with np.errstate(divide="ignore"):
        facts = {"year": movies.get("year", nothing), "runtime": movies.get("runtime", nothing), "words": np.log(words)}
    columns = [
        pd.to_numeric(pd.Series(facts[name]), errors="coerce").to_numpy("float64", na_value=np.nan) for name in FACTS
    ]
    values = np.stack(columns, axis=1)
    values[np.isinf(values)] = np.nan
    known = ~np.isnan(values)
    centre, unit = np.array(list(FACTS.values())).T
    values = np.where(known, ((np.nan_to_num(values) - centre) / unit).clip(-4, 4), 0.0)
    return torch.from_numpy(np.concatenate([values, known], axis=1)).float()
