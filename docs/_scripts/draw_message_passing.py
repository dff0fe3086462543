"""How the embedding of a new user is computed, drawn with small vectors that really add up."""

from __future__ import annotations

import math

from svg import arrow_head, color, figure, text

CELL = 13

# movie: number of ratings, message [5]
RATED = {
    "Heat": (9, (2.0, 1.0, -1.0, 0.5, 0.0)),
    "Alien": (16, (1.0, 2.5, 0.5, -1.0, 0.5)),
    "Toy Story": (25, (-1.5, 0.5, 2.5, 1.0, -0.5)),
}
PROFILE = (0.1, -0.1, 0.2, 0.1, 0.1)
# movie: target embedding [5], whether it has ratings
ALL = {
    "Ronin": ((1.8, 1.2, -0.8, 0.2, 0.0), True),
    "Aliens": ((0.9, 2.2, 0.4, -0.9, 0.4), True),
    "Babe": ((-1.2, 0.3, 2.0, 1.1, -0.3), True),
    "Big": ((-0.8, -0.4, 1.0, 1.2, 0.6), True),
    "unrated": ((0.7, 0.8, 0.3, -0.2, 0.1), False),
}


def user_embedding() -> list[float]:
    """Return the sum of the messages, each divided by the roots of both degrees, and the profile."""
    weights = {name: 1 / math.sqrt(len(RATED) * degree) for name, (degree, _) in RATED.items()}
    return [p + sum(weights[name] * RATED[name][1][d] for name in RATED) for d, p in enumerate(PROFILE)]


def message_passing() -> str:
    """Return the picture as SVG."""
    z = user_embedding()
    scores = {name: sum(a * b for a, b in zip(z, target, strict=True)) for name, (target, _) in ALL.items()}
    parts = [arrow_head("message-tip", "new")]
    for x, title in ((106, "rated movies"), (366, "new user"), (630, "all movies, best first")):
        parts.append(text(x, 32, title, anchor="middle", size=14, bold=True))
    for i, (name, (degree, message)) in enumerate(RATED.items()):
        y = 84 + 75 * i
        parts += [_pill(20, y, 88, "movie", name), _cells(116, y, message)]
        parts.append(text(148, y - 14, "message", "muted", anchor="middle", size=12))
        end = 194 + 14 * (i - 1)
        parts.append(_arrow(188, y, 316, end))
        parts.append(_label(244, y + (end - y) * (244 - 188) / (316 - 188), f"1/√({len(RATED)}·{degree})"))
    parts += [_pill(20, 316, 178, "occupation", "age, gender, occupation"), _arrow(202, 316, 326, 222)]
    parts.append(_label(258, 273, "profile"))
    parts += [_pill(322, 194, 76, "new", "new"), _cells(404, 194, z)]
    parts.append(text(436, 178, "user embedding", anchor="middle", size=12))
    for i, name in enumerate(sorted(scores, key=scores.__getitem__, reverse=True)):
        y = 78 + 58 * i
        target, rated = ALL[name]
        parts.append(
            f'<line x1="474" y1="194" x2="522" y2="{y}" stroke="{color("line")}" stroke-width="1.5"/>'
            + _cells(526, y, target)
            + _pill(600, y, 80, "movie", name, dashed=not rated)
        )
        length = max(scores[name], 0) * 34
        parts.append(
            f'<rect x="690" y="{y - 6}" width="{length:.1f}" height="12" rx="3" fill="{color("new")}"/>'
            + text(round(696 + length, 1), y + 4, f"{scores[name]:.2f}", size=12)
        )
    parts.append(
        text(
            400,
            372,
            "Only network weights are learned; no parameter belongs to one user. Blue: positive, red: negative.",
            "muted",
            anchor="middle",
        )
    )
    title = "Messages of rated movies and the profile add up to the embedding of a new user"
    return figure(800, 392, title, *parts)


def _pill(x: float, y: float, width: float, role: str, label: str, *, dashed: bool = False) -> str:
    style = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<rect x="{x:g}" y="{y - 15:g}" width="{width:g}" height="30" rx="15" fill="{color("paper")}" '
        f'stroke="{color(role)}" stroke-width="2"{style}/>' + text(x + width / 2, y + 4.5, label, anchor="middle")
    )


def _cells(x: float, y: float, values: tuple[float, ...] | list[float]) -> str:
    cells = []
    for i, value in enumerate(values):
        strength = abs(value) / max(map(abs, values))
        role = "user" if value >= 0 else "negative"
        cells.append(
            f'<rect x="{x + CELL * i}" y="{y - CELL / 2:g}" width="{CELL}" height="{CELL}" fill="{color(role)}" '
            f'fill-opacity="{0.08 + 0.92 * strength:.2f}" stroke="{color("muted")}" stroke-width="0.8"/>'
        )
    return "".join(cells)


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{color("new")}" stroke-width="2" '
        'marker-end="url(#message-tip)"/>'
    )


def _label(x: float, y: float, words: str) -> str:
    width = 12 + 6.6 * len(words)
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - 10:.1f}" width="{width:.1f}" height="20" rx="10" '
        f'fill="{color("paper")}" stroke="{color("new")}"/>'
        + text(round(x, 1), round(y + 4.2, 1), words, anchor="middle", size=12)
    )
