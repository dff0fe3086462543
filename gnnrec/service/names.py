"""Normalizes names that people enter."""

from __future__ import annotations

import unicodedata


def clean_text(text: str) -> str:
    """Return text with single spaces and composed letters; control characters are rejected.

    >>> clean_text(" Ann   Lee ")
    'Ann Lee'
    """
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError("control characters are not allowed")
    return " ".join(unicodedata.normalize("NFC", text).split())


def clean_name(text: str) -> str:
    """Return the name of a profile.

    >>> clean_name("-1")
    '-1'
    """
    name = clean_text(text)
    if not name or not any(unicodedata.category(letter)[0] in "LNPS" for letter in name):
        raise ValueError("a name needs at least one visible character")
    return name
