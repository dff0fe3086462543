"""From the name of an encoder to the encoder; ``auto`` is the best one that works here."""

from __future__ import annotations

from collections.abc import Callable

from gnnrec.errors import ConfigError
from gnnrec.features.encoders.base import Encoder, EncoderError
from gnnrec.features.encoders.clip import ClipImage, ClipText
from gnnrec.features.encoders.colours import Colours
from gnnrec.features.encoders.sentence import Sentence
from gnnrec.features.encoders.tfidf import Tfidf

AUTO = {
    "text": ("sentence:all-MiniLM-L6-v2", "clip:ViT-B-32/laion2b_s34b_b79k", "tfidf:256"),
    "image": ("clip:ViT-B-32/laion2b_s34b_b79k", "colours"),
}
"""What ``auto`` tries, best first. The last of each needs no weights."""

FORMS = {
    "text": "auto, sentence:MODEL or :FOLDER, clip:ARCHITECTURE/TAG, clip:ARCHITECTURE:CHECKPOINT, tfidf, tfidf:DIM",
    "image": "auto, clip:ARCHITECTURE/TAG, clip:ARCHITECTURE:CHECKPOINT, colours",
}
"""How encoders are named."""


def pick(name: str, reads: str, *, device: str = "auto", say: Callable[[str], None] = print) -> Encoder:
    """Return the encoder of that name.

    Parameters
    ----------
    name : str
        One of `FORMS`: ``tfidf:128``, ``sentence:all-mpnet-base-v2``, ``clip:ViT-B-32/laion2b_s34b_b79k``,
        ``clip:ViT-B-32:my/checkpoint.pt``, ``colours``. ``auto`` is the first of `AUTO` whose package is
        installed and whose weights are here or can be downloaded.
    reads : str
        "image" or "text".
    device : str
        "auto" is a GPU when there is one.
    say : callable
        Gets the line which says what ``auto`` took, and why not what is better.

    Returns
    -------
    Encoder

    Raises
    ------
    ConfigError
        There is no encoder of that name for pictures or texts.
    EncoderError
        Its package is missing. That weights are missing shows when they are wanted.

    Examples
    --------
    >>> pick("tfidf:64", "text").about
    'tfidf:64, TF-IDF and SVD of these texts'
    """
    if name != "auto":
        return _named(name, reads, device)
    passed_over = []
    for candidate in AUTO[reads]:
        encoder = _named(candidate, reads, device)
        try:
            _ = encoder.key
        except EncoderError as error:
            passed_over.append(str(error))
            continue
        why = f"; better ones were passed over: {'; '.join(passed_over)}" if passed_over else ", the best there is here"
        say(f"{reads} encoder: {encoder.name}{why}")
        return encoder
    raise EncoderError(f"there is no encoder for {reads}s here: {'; '.join(passed_over)}")


def _named(name: str, reads: str, device: str) -> Encoder:
    kind, _, rest = name.partition(":")
    if reads == "text" and kind == "tfidf" and (rest.isdecimal() or name == "tfidf"):
        return Tfidf(int(rest)) if rest else Tfidf()
    if reads == "text" and kind == "sentence" and rest:
        return Sentence(rest, device)
    if reads == "image" and name == "colours":
        return Colours()
    if kind == "clip" and reads in ("image", "text"):
        architecture, _, weights = rest.partition(":" if ":" in rest else "/")
        if architecture and weights:
            tower = ClipImage if reads == "image" else ClipText
            return tower(architecture, weights, device)
    raise ConfigError(f"there is no {reads} encoder {name!r}; there are: {FORMS.get(reads, 'none')}")
