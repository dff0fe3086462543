"""Names of profiles: normalizes what people enter, and makes user ids without names for training data."""

from __future__ import annotations

import re
import secrets
import unicodedata

_PREFIX, _NUM_BYTES = "profile-", 16
_USER_ID = re.compile(f"{_PREFIX}[0-9a-f]{{{2 * _NUM_BYTES}}}")


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


def make_user_id() -> str:
    """Return a random user id for a profile in training data: nobody can tell or guess whose it is.

    >>> is_profile(make_user_id()), is_profile("ann"), is_profile(7)
    (True, False, False)
    """
    return f"{_PREFIX}{secrets.token_hex(_NUM_BYTES)}"


def is_profile(user_id: object) -> bool:
    """Return whether a user id of training data is that of a profile, from `make_user_id`."""
    return isinstance(user_id, str) and _USER_ID.fullmatch(user_id) is not None
