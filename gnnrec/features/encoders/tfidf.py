"""Words that set a plot apart, in few dimensions: TF-IDF and a truncated SVD, which need no weights.

Reference: S. Deerwester et al., "Indexing by latent semantic analysis", JASIS 41(6), 1990.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnrec.errors import ConfigError, DataError
from gnnrec.features.encoders.base import Encoder, need, unit_length


class Tfidf(Encoder):
    """Latent semantic analysis of the texts: texts -> unit vectors.

    Words of a single text, and English words that stand in any text, do not count. A text without a word that counts
    gets zeros.

    Parameters
    ----------
    dim : int
        Width of a vector; less where there are fewer texts or words.

    Examples
    --------
    >>> plots = ["a ship in space", "space and a lost ship", "a wedding in spring", "spring and a wedding cake"]
    >>> vectors = Tfidf(dim=2).encode(plots)
    >>> (vectors @ vectors.T).round().tolist()[0]
    [1.0, 1.0, 0.0, 0.0]
    """

    reads = "text"
    fitted = True

    def __init__(self, dim: int = 256) -> None:
        if dim < 1:
            raise ConfigError(f"tfidf needs a width of at least 1, not {dim}")
        self.dim = dim
        self.name = f"tfidf:{dim}"

    @property
    def key(self) -> dict[str, Any]:
        """See `Encoder.key`. Which words count and the SVD's own steps are the package's, so its version is here."""
        return {"encoder": "tfidf", "dim": self.dim, "scikit-learn": need("sklearn", "features", "tfidf").__version__}

    @property
    def about(self) -> str:
        """See `Encoder.about`."""
        return f"{self.name}, TF-IDF and SVD of these texts"

    def encode(self, batch: list[str]) -> np.ndarray:
        """See `Encoder.encode`; fitted to the batch, which is all there is."""
        need("sklearn", "features", "tfidf")
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2, max_features=50_000)
        try:
            table = words.fit_transform(batch)  # [n, num_words]
        except ValueError:
            raise DataError(f"{len(batch)} texts have no word in common that tfidf could use; give it more") from None
        dim = min(self.dim, *table.shape)
        if dim == table.shape[1]:  # as many words as dimensions: nothing to reduce
            return unit_length(table.toarray())
        return unit_length(TruncatedSVD(dim, random_state=0, n_iter=10).fit_transform(table))
