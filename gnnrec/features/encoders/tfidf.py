"""TF-IDF reduced by a truncated SVD; needs no weights.

Reference: S. Deerwester et al., "Indexing by latent semantic analysis", JASIS 41(6), 1990.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnrec.errors import ConfigError, DataError
from gnnrec.features.encoders.base import FeatureEncoder, l2_normalize
from gnnrec.registry import register_feature_encoder


@register_feature_encoder("tfidf", modality="text", usage="tfidf, tfidf:DIM")
class TfidfEncoder(FeatureEncoder):
    """Latent semantic analysis: texts to unit vectors.

    English stop words and words that occur in one text only are ignored. A text without any other word is encoded as
    zeros.

    Parameters
    ----------
    dim : int
        Embedding dimension; smaller if there are fewer texts or words.

    Raises
    ------
    ConfigError
        `dim` is not positive.

    Examples
    --------
    >>> plots = ["a ship in space", "space and a lost ship", "a wedding in spring", "spring and a wedding cake"]
    >>> embeddings = TfidfEncoder(dim=2).encode(plots)
    >>> (embeddings @ embeddings.T > 0.5).tolist()[0]
    [True, True, False, False]
    """

    corpus_dependent = True

    def __init__(self, dim: int = 256) -> None:
        if dim < 1:
            raise ConfigError(f"the dimension of tfidf must be at least 1, not {dim}")
        self.dim = dim
        self.name = f"tfidf:{dim}"

    @classmethod
    def from_options(cls, options: str, device: str = "auto") -> TfidfEncoder:
        """Create an encoder from its dimension, or the default one without options."""
        if options and not options.isdecimal():
            raise ConfigError(f"the dimension of tfidf must be a number, as in tfidf:256, not {options!r}")
        return cls(int(options)) if options else cls()

    @property
    def cache_key(self) -> dict[str, Any]:
        """See `FeatureEncoder.cache_key`. The version is part of it: stop words and SVD belong to the package."""
        import sklearn

        return {"encoder": "tfidf", "dim": self.dim, "scikit-learn": sklearn.__version__}

    @property
    def description(self) -> str:
        """See `FeatureEncoder.description`."""
        return f"{self.name}, TF-IDF and SVD of this corpus"

    def encode(self, batch: list[str]) -> np.ndarray:
        """See `FeatureEncoder.encode`; fitted to the batch, which is the whole corpus."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2, max_features=50_000)
        try:
            weights = vectorizer.fit_transform(batch)  # [n, num_words]
        except ValueError:
            raise DataError(
                f"tfidf found no word that occurs in two of the {len(batch)} texts; encode more texts together"
            ) from None
        dim = min(self.dim, *weights.shape)
        if dim == weights.shape[1]:  # no more words than dimensions: nothing to reduce
            return l2_normalize(weights.toarray())
        return l2_normalize(TruncatedSVD(dim, random_state=0, n_iter=10).fit_transform(weights))
