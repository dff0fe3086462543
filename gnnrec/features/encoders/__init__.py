"""Encoders of posters and plots, one per file; `get_encoder` returns one by name."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gnnrec.errors import ConfigError
from gnnrec.features.encoders.base import EncoderError, FeatureEncoder, import_optional
from gnnrec.registry import FEATURE_ENCODERS

__all__ = ["AUTO_ENCODERS", "EncoderError", "FeatureEncoder", "encoder_usage", "get_encoder", "import_optional"]

AUTO_ENCODERS = {
    "image": ("clip:ViT-B-32/laion2b_s34b_b79k", "color"),
    "text": ("sentence:all-MiniLM-L6-v2", "clip-text:ViT-B-32/laion2b_s34b_b79k", "tfidf:256"),
}
"""Candidates of ``auto`` by modality, best first. The last of each needs no weights."""

_logger = logging.getLogger(__name__)


def get_encoder(
    name: str, modality: str, *, device: str = "auto", log: Callable[[str], None] | None = None
) -> FeatureEncoder:
    """Return an encoder by name.

    Parameters
    ----------
    name : str
        A registered name, with options after a colon: ``tfidf:128``, ``sentence:all-mpnet-base-v2``,
        ``clip:ViT-B-32/laion2b_s34b_b79k``, ``clip:ViT-B-32:my/checkpoint.pt``, ``color``. ``auto`` is the first of
        `AUTO_ENCODERS` whose package is installed and whose weights are cached or can be downloaded.
    modality : str
        "image" or "text".
    device : str
        PyTorch device; "auto" uses a GPU if there is one.
    log : callable, optional
        Receives a line with the encoder that ``auto`` selected, and why better ones are unavailable; by default it
        is logged.

    Returns
    -------
    FeatureEncoder

    Raises
    ------
    ConfigError
        There is no encoder of that name, it encodes another modality, or its options are invalid.
    EncoderError
        No candidate of ``auto`` is available. Other encoders raise it once they need their package or weights.

    Examples
    --------
    >>> get_encoder("tfidf:64", "text").description
    'tfidf:64, TF-IDF and SVD of this corpus'
    """
    if modality not in AUTO_ENCODERS:
        raise ConfigError(f"modality must be one of {', '.join(AUTO_ENCODERS)}, not {modality!r}")
    if name != "auto":
        return _from_name(name, modality, device)
    unavailable = []
    for candidate in AUTO_ENCODERS[modality]:
        encoder = _from_name(candidate, modality, device)
        try:
            _ = encoder.cache_key
        except EncoderError as error:
            unavailable.append(str(error))
            continue
        reason = f" (better ones are unavailable: {'; '.join(unavailable)})" if unavailable else ""
        (log or _logger.info)(f"{modality} encoder: {encoder.name}{reason}")
        return encoder
    raise EncoderError(f"no {modality} encoder is available: {'; '.join(unavailable)}")


def encoder_usage(modality: str) -> str:
    """Return the forms of encoder names of a modality, for help texts and errors.

    Parameters
    ----------
    modality : str
        "image" or "text".

    Examples
    --------
    >>> encoder_usage("image").split(", ")[:4]
    ['auto', 'clip:ARCHITECTURE/TAG', 'clip:ARCHITECTURE:CHECKPOINT', 'color']
    """
    registered = {name: FEATURE_ENCODERS.metadata(name) for name in FEATURE_ENCODERS.names()}
    forms = [entry.get("usage", name) for name, entry in registered.items() if entry["modality"] == modality]
    return ", ".join(["auto", *forms])


def _from_name(name: str, modality: str, device: str) -> FeatureEncoder:
    registered, colon, options = name.partition(":")
    encoder: type[FeatureEncoder] = FEATURE_ENCODERS.get(registered)
    supported = FEATURE_ENCODERS.metadata(registered)["modality"]
    if supported != modality:
        raise ConfigError(
            f"encoder {name!r} encodes {supported}s, not {modality}s; choose one of: {encoder_usage(modality)}"
        )
    if colon and not options:
        raise ConfigError(f"encoder {name!r} has nothing after its colon; choose one of: {encoder_usage(modality)}")
    return encoder.from_options(options, device)
