"""Parses titles of movies as people and catalogs write them, and normalizes them for comparison.

Nothing here depends on a catalog. `gnnrec.graph.titles` finds movies of a graph by these words, and
`gnnrec.metadata.matching` compares search results of web services with them.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

MAX_YEAR_GAP = 1
"""Largest difference of the release years of one movie in two catalogs; festivals and cinemas may differ by one."""

YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\)\s*)?$")  # "(1995)", "(2006–2007)", "(1995) (V)"
_BARE_YEAR = re.compile(
    r"(?<=\S)(?:,|\s[-–])?\s*[\[ ]((?:18|19|20)\d\d)\]?\s*$"
)  # "Heat 1995", "Heat, 1995", "Heat [1995]"
_PARENTHESES = re.compile(r"\(([^()]*)\)")
_ALSO_KNOWN_AS = re.compile(r"^a\.?\s?k\.?\s?a\.?:?\s+", re.IGNORECASE)
_NEXT_ALIAS = re.compile(r",\s*(?=a\.?\s?k\.?\s?a\b)", re.IGNORECASE)
_TRAILING_ARTICLE = re.compile(
    r"^(.+), (the|an?|l[ae]s?|l'|une?|der|die|das|eine?|el|los|il|lo|gli|i|os?|as|uma?|de[nt]?|het|een|ett)(?=$|:| -)",
    re.IGNORECASE,
)
_SEGMENTS = re.compile(
    r"\s*:\s+|\s+[-–—]\s+|\s*;\s+(?:or,?:?\s+)?|,?\s+or:\s+|,\s+or,?\s+|\s+\*\s?(?=\w)", re.IGNORECASE
)
_OR = re.compile(r"\s*[;,]?\s+or\b", re.IGNORECASE)
_POSSESSIVE = re.compile(
    r"^(?!(?:the|an?)\s\S+\s)(?:[^\s:]+\s){1,3}[^\s:]+(?:'s|’s|s'|s’)\s+(?=\S)", re.IGNORECASE
)  # "Bram Stoker's Dracula"

_EDITION = re.compile(
    r"(?<=\S)\s*(?:[:,–—(\[-]|\s)\s*(?:the\s+)?(?:(?:(?:director|producer|collector)['’]?s|final|extended|special|ultimate"
    r"|(?:\d+th\s+)?anniversary|unrated|theatrical|restored|remastered|deluxe|definitive)\s+(?:cut|edition|version)"
    r"|redux|remastered|uncut|unrated)\s*[)\]]?$",
    re.IGNORECASE,
)  # "Blade Runner: The Final Cut", "Alien (Director's Cut)"

ARTICLES = frozenset({"the", "a", "an"})
STOP_WORDS = ARTICLES | {"and", "of", "in", "on", "to", "for", "at", "with", "from", "or", "by", "is", "de", "la", "le"}
"""Words that hardly distinguish movies."""
_PART_WORDS = {"part", "episode", "chapter", "volume"}


def _table(text: str) -> dict[str, str]:
    """Return ``{"a": "b"}`` for ``"a=b"``."""
    return dict(pair.split("=") for pair in text.split())


_SPELLINGS = _table(
    """
    colour=color colours=colors coloured=colored grey=gray theatre=theater centre=center honour=honor
    honourable=honorable neighbour=neighbor neighbours=neighbors favourite=favorite armour=armor rumour=rumor
    rumours=rumors harbour=harbor saviour=savior humour=humor labour=labor odour=odor traveller=traveler
    jewellery=jewelry programme=program defence=defense offence=offense catalogue=catalog dialogue=dialog
    pyjamas=pajamas mum=mom tyre=tire sceptre=scepter okay=ok
    dr=doctor mr=mister mrs=missus st=saint mt=mount versus=vs pt=part vol=volume ep=episode jr=junior sr=senior
    n=and bros=brothers blvd=boulevard ave=avenue capt=captain sgt=sergeant lt=lieutenant se7en=seven π=pi
    first=1st second=2nd third=3rd fourth=4th fifth=5th sixth=6th seventh=7th eighth=8th ninth=9th tenth=10th
    eleventh=11th twelfth=12th thirteenth=13th
    """
)
_ROMAN = _table(
    """
    ii=2 iii=3 iv=4 v=5 vi=6 vii=7 viii=8 ix=9 x=10 xi=11 xii=12 xiii=13 xiv=14 xv=15 xvi=16 xvii=17 xviii=18 xix=19
    xx=20
    """
)
_UNITS = {
    word: int(number)
    for word, number in _table(
        """
        one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 eleven=11 twelve=12 thirteen=13
        fourteen=14 fifteen=15 sixteen=16 seventeen=17 eighteen=18 nineteen=19
        """
    ).items()
}
_TENS = {
    word: int(number)
    for word, number in _table("twenty=20 thirty=30 forty=40 fifty=50 sixty=60 seventy=70 eighty=80 ninety=90").items()
}
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "\u2044": " ", "&": " and "}
)
_FRACTION = re.compile(r"([¼-¾⅐-⅞²³¹⁰-⁹])")
_APOSTROPHE = re.compile("['’`´]")
_ABBREVIATION = re.compile(r"(?<=\w)\.(?=\w\b|\s|$)|\.$")  # "L.A.", "Dr."
_WORD = re.compile(r"[^\W_]+")
_LETTERS_AND_NUMBER = re.compile(r"([^\W\d_]+)(\d+)")
_ELISION = re.compile(r"\b([ld])['’`´]\s*(?=\w)")


def parse_title(title: str) -> tuple[tuple[str, ...], int | None]:
    """Parse a title in the notation of MovieLens.

    Parameters
    ----------
    title : str
        Title with an optional trailing article, alternative titles in parentheses, and a year.

    Returns
    -------
    names : tuple of str
        Distinct titles in their order of appearance.
    year : int or None
        Year in the last parentheses.

    Examples
    --------
    >>> parse_title("Matrix, The (1999)")
    (('The Matrix',), 1999)
    >>> parse_title("Seven (a.k.a. Se7en) (1995)")
    (('Seven', 'Se7en'), 1995)
    >>> parse_title("City of Lost Children, The (Cité des enfants perdus, La) (1995)")
    (('The City of Lost Children', 'La Cité des enfants perdus'), 1995)
    """
    year = YEAR.search(title)
    bare = title[: year.start()] if year else title
    aliases = [
        _ALSO_KNOWN_AS.sub("", alias.strip())
        for group in _PARENTHESES.findall(bare)
        for alias in _NEXT_ALIAS.split(group)
    ]
    main = " ".join(_PARENTHESES.sub(" ", bare).split())
    names = [article_first(name) for name in (main, *aliases) if name.strip()]
    # "(500) Days of Summer": the parentheses may be part of the title.
    whole = [article_first(" ".join(bare.split()))] if bare.lstrip().startswith("(") else []
    return tuple(dict.fromkeys([*whole, *names] or [title.strip()])), int(year[1]) if year else None


def article_first(name: str) -> str:
    """Turn "Matrix, The" into "The Matrix", and "Avventura, L'" into "L'Avventura"."""
    name = name.strip()
    match = _TRAILING_ARTICLE.match(name)
    if match is None:
        return name
    space = "" if match[2].endswith("'") else " "
    return f"{match[2]}{space}{match[1]}{name[match.end() :]}"


def split_bare_year(title: str) -> tuple[str, int | None]:
    """Split off a year that is not in parentheses.

    >>> split_bare_year("Heat 1995"), split_bare_year("Heat, 1995"), split_bare_year("1984")
    (('Heat', 1995), ('Heat', 1995), ('1984', None))
    """
    found = _BARE_YEAR.search(title)
    return (title[: found.start()].rstrip(), int(found[1])) if found else (title, None)


@lru_cache(maxsize=4096)
def title_words(name: str) -> tuple[str, ...]:
    """Return the words of a title in a normalized spelling.

    Without case, accents, punctuation and articles; Roman numerals and number words are digits, "&" is "and", British
    spellings are American, and "Part II" is "2".

    Examples
    --------
    >>> title_words("The Godfather: Part II"), title_words("Godfather 2")
    (('godfather', '2'), ('godfather', '2'))
    >>> title_words("Amélie & Léon"), title_words("8½"), title_words("M*A*S*H")
    (('amelie', 'and', 'leon'), ('8', '1', '2'), ('m', 'a', 's', 'h'))
    """
    words = _raw_words(name)
    plain = [word for place, word in enumerate(words) if word not in ARTICLES or _is_letter(words, place)]
    return tuple(plain or words)


def literal_words(name: str) -> tuple[str, ...]:
    """Return the words of a title as `title_words` does, with its articles."""
    return tuple(_raw_words(name))


def _is_letter(words: list[str], place: int) -> bool:
    """Return whether an "a" is among single letters, as in "M*A*S*H"."""
    return words[place] == "a" and any(
        0 <= near < len(words) and len(words[near]) == 1 for near in (place - 1, place + 1)
    )


def _raw_words(name: str) -> list[str]:
    if name.isascii():
        text = name.lower()
    else:
        spaced = _FRACTION.sub(r" \1", name.casefold())
        plain = unicodedata.normalize("NFKD", spaced).translate(_LETTERS)
        text = "".join(letter for letter in plain if not unicodedata.combining(letter))
    text = text.replace("&", " and ").replace(" + ", " and ").replace(" and a half", " 1 2")
    if _APOSTROPHE.search(text):
        text = _APOSTROPHE.sub("", _ELISION.sub(r"\1", text))
    if "." in text:
        text = _ABBREVIATION.sub("", text)
    found: list[str] = []
    has_number_words = False
    for place, word in enumerate(_WORD.findall(text)):
        word = _SPELLINGS.get(word, word)
        if place and word in _ROMAN:
            word = _ROMAN[word]
        elif word == "i" and found and found[-1] in _PART_WORDS:
            word = "1"
        if word.isdecimal():
            word = word.lstrip("0") or "0"
        elif word[-1].isdecimal() and (split := _LETTERS_AND_NUMBER.fullmatch(word)):
            found.append(_ROMAN.get(split[1], split[1]) if place else split[1])
            word = split[2]
        has_number_words |= word in _UNITS or word in _TENS
        found.append(word)
    if has_number_words:
        found = _digits(found)
    if not _PART_WORDS.isdisjoint(found):
        found = [
            word
            for place, word in enumerate(found)
            if not (word in _PART_WORDS and place + 1 < len(found) and found[place + 1].isdecimal())
        ]
    return found


def _digits(words: list[str]) -> list[str]:
    """Turn number words into digits: "one hundred and one", "twenty four" and "nineteen eighty four"."""
    found: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        if word not in _UNITS and word not in _TENS:
            found.append(word)
            place += 1
            continue
        value = _UNITS.get(word, 0) or _TENS[word]
        place += 1
        if word in _TENS and place < len(words) and _UNITS.get(words[place], 99) < 10:
            value += _UNITS[words[place]]
            place += 1
        elif 12 < value < 20 and place < len(words) and words[place] in _TENS:  # nineteen eighty four
            value = 100 * value + _TENS[words[place]]
            place += 1
            if place < len(words) and _UNITS.get(words[place], 99) < 10:
                value += _UNITS[words[place]]
                place += 1
        elif value < 10 and place < len(words) and words[place] == "hundred":
            value *= 100
            place += 1
            rest = place + 1 if words[place : place + 1] == ["and"] else place
            if rest < len(words) and (words[rest] in _UNITS or words[rest] in _TENS):
                value += _UNITS.get(words[rest], 0) or _TENS[words[rest]]
                place = rest + 1
        found.append(str(value))
    return found


def content_words(words: tuple[str, ...]) -> list[str]:
    """Return the words that distinguish movies."""
    return [word for word in words if word not in STOP_WORDS]


def numbers_in(words: tuple[str, ...] | list[str]) -> list[str]:
    """Return the numbers among words, sorted; movies with different numbers are different, such as sequels."""
    return sorted(word for word in words if word.isdecimal())


def segments(name: str) -> list[str]:
    """Split a title where a subtitle begins.

    >>> segments("Star Wars: Episode V - The Empire Strikes Back")
    ['Star Wars', 'Episode V', 'The Empire Strikes Back']
    >>> segments("Dr. Strangelove or: How I Learned to Stop Worrying")
    ['Dr. Strangelove', 'How I Learned to Stop Worrying']
    """
    # Most titles have no subtitle, and `in` is faster than a pattern.
    if not any(sign in name for sign in (":", " -", " –", " —", ";", " *", " or", " OR", " Or")):
        return [name] if name.strip() else []
    return [part for part in _SEGMENTS.split(name) if part.strip()]


def without_possessive(name: str) -> str:
    """Remove the full name of an author at the beginning.

    >>> without_possessive("Bram Stoker's Dracula"), without_possessive("Schindler's List")
    ('Dracula', "Schindler's List")
    """
    found = _POSSESSIVE.match(name) if "'" in name or "’" in name else None
    return name if found is None or numbers_in(title_words(found[0])) else name[found.end() :]


def without_edition(name: str) -> str:
    """Remove the name of a cut or edition.

    >>> without_edition("Blade Runner: The Final Cut"), without_edition("Alien (Director's Cut)")
    ('Blade Runner', 'Alien')
    """
    return _EDITION.sub("", name)


def is_number(segment: str) -> bool:
    """Return whether a segment is just a number in a series, such as "Episode V"."""
    words = title_words(segment)
    return len(words) == 1 and words[0].isdecimal()


def without_series_number(name: str) -> str | None:
    """Return a title with the number in the series removed before its subtitle; None if there is no such number.

    >>> without_series_number("Star Wars: Episode V - The Empire Strikes Back")
    'Star Wars: The Empire Strikes Back'
    >>> without_series_number("Star Trek II: The Wrath of Khan"), without_series_number("Rocky II")
    ('star trek: The Wrath of Khan', None)
    """
    pieces = segments(name)
    if len(pieces) < 2 or is_number(pieces[-1]):
        return None
    kept = [piece for piece in pieces if not is_number(piece)]
    if len(kept) == len(pieces):
        words = title_words(kept[0])
        if len(words) < 2 or not words[-1].isdecimal() or numbers_in(words[:-1]):
            return None
        kept[0] = " ".join(words[:-1])
    return ": ".join(kept) if len(kept) > 1 else None


def title_names(title: str) -> tuple[tuple[str, ...], tuple[str, ...], int | None]:
    """Return the names of a movie in a catalog, further possible ones, and its year.

    Lists of alternative titles are split in all ways; pieces that may be only a part of a title are possible names.

    Examples
    --------
    >>> title_names("Communion (a.k.a. Alice, Sweet Alice/Holy Terror) (1977)")[:2]
    (('Communion', 'Alice, Sweet Alice/Holy Terror'), ('Alice, Sweet Alice', 'Holy Terror', 'Alice', 'Sweet Alice'))
    """
    names, year = parse_title(html.unescape(title))
    if len(names) > 1 and names[0].startswith("("):  # the pieces of "(500) Days of Summer" are not titles
        return names[:1], tuple(name for name in names[1:] if not name.isdecimal()), year
    pieces = [piece.strip() for name in names[1:] for piece in name.split("/")]
    pieces += [article_first(piece) for piece in pieces for piece in piece.split(", ") if len(piece) > 3]
    possible = dict.fromkeys(piece for piece in pieces if piece and piece not in names)
    return names, tuple(possible), year


def is_second_title(name: str, front: str) -> bool:
    """Return whether the rest of a title, after `front`, is a second title.

    >>> is_second_title("Dr. Strangelove or: How I Learned", "Dr. Strangelove")
    True
    >>> is_second_title("Alien: Covenant", "Alien")
    False
    """
    return name.startswith(front) and _OR.match(name[len(front) :]) is not None
