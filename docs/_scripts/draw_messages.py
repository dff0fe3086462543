"""How the vector of a new person comes about, drawn with small vectors that really add up."""

from __future__ import annotations

import math
from html import escape

CELL = 12
ORANGE, GREEN, GREY, BLUE = "#d9730d", "#3a8f4d", "#7a7a7a", "#2a78b5"

# movie: ratings it has, message [5]
RATED = {
    "Heat": (9, (2.0, 1.0, -1.0, 0.5, 0.0)),
    "Alien": (16, (1.0, 2.5, 0.5, -1.0, 0.5)),
    "Toy Story": (25, (-1.5, 0.5, 2.5, 1.0, -0.5)),
}
PROFILE = (0.1, -0.1, 0.2, 0.1, 0.1)
# movie: target [5], whether it has ratings
ALL = {
    "Ronin": ((1.8, 1.2, -0.8, 0.2, 0.0), True),
    "Aliens": ((0.9, 2.2, 0.4, -0.9, 0.4), True),
    "Babe": ((-1.2, 0.3, 2.0, 1.1, -0.3), True),
    "Big": ((-0.8, -0.4, 1.0, 1.2, 0.6), True),
    "unseen": ((0.7, 0.8, 0.3, -0.2, 0.1), False),
}


def vector() -> list[float]:
    """Return the person's vector: messages, each divided by the roots of both degrees, and the profile."""
    weights = {name: 1 / math.sqrt(len(RATED) * degree) for name, (degree, _) in RATED.items()}
    return [p + sum(weights[name] * RATED[name][1][d] for name in RATED) for d, p in enumerate(PROFILE)]


def messages() -> str:
    """Return the picture as SVG."""
    z = vector()
    scores = {name: sum(a * b for a, b in zip(z, target, strict=True)) for name, (target, _) in ALL.items()}
    best = sorted(scores, key=scores.__getitem__, reverse=True)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 380" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Messages of rated movies and the profile add up to the vector of a new person</title>",
        '<rect width="740" height="380" rx="8" fill="white"/>',
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{ORANGE}"/></marker></defs>',
    ]
    for x, text in ((90, "what they rated"), (342, "new person"), (610, "every movie, best first")):
        parts.append(f'<text x="{x}" y="28" text-anchor="middle" font-weight="600" fill="#333">{text}</text>')
    for i, (name, (degree, message)) in enumerate(RATED.items()):
        y = 80 + 75 * i
        parts.append(_circle(50, y, GREEN, name))
        parts.append(_cells(90, y, message))
        parts.append(f'<text x="120" y="{y - 12}" text-anchor="middle" fill="#555">message m</text>')
        parts.append(_arrow(158, y, 312, 190 + 14 * (i - 1), ORANGE))
        x, middle = 200, y + (190 + 14 * (i - 1) - y) * (200 - 158) / (312 - 158)
        parts.append(_label(x + 12, middle, f"1/√({len(RATED)}·{degree})"))
    parts.append(
        f'<rect x="16" y="292" width="140" height="26" rx="6" fill="{GREY}"/>'
        '<text x="87" y="309" text-anchor="middle" fill="white" font-size="10">age, gender, occupation</text>'
    )
    parts.append(_arrow(158, 305, 320, 216, ORANGE))
    parts.append(_label(212, 275, "p"))
    parts.append(_circle(342, 190, ORANGE, "new"))
    parts.append(_cells(378, 190, z))
    parts.append('<text x="408" y="176" text-anchor="middle" fill="#333">their vector z</text>')
    for i, name in enumerate(best):
        y = 74 + 58 * i
        target, rated = ALL[name]
        parts.append(f'<line x1="444" y1="190" x2="508" y2="{y}" stroke="#c4c4c4" stroke-width="1.5"/>')
        parts.append(_cells(512, y, target))
        parts.append(_circle(602, y, GREEN, name, dashed=not rated))
        parts.append(f'<rect x="636" y="{y - 6}" width="{max(scores[name], 0) * 34:.1f}" height="12" fill="{BLUE}"/>')
        parts.append(
            f'<text x="{640 + max(scores[name], 0) * 34:.1f}" y="{y + 4}" fill="#333">{scores[name]:.2f}</text>'
        )
    parts.append(
        '<text x="370" y="362" text-anchor="middle" fill="#555">Only the weights of the network were learned: nothing '
        "here belongs to one person. Blue is above zero, red below.</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _circle(x: int, y: int, colour: str, text: str, *, dashed: bool = False) -> str:
    edge = ' stroke="#333" stroke-width="1.5" stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<circle cx="{x}" cy="{y}" r="26" fill="{colour}"{edge}/><text x="{x}" y="{y + 4}" text-anchor="middle" '
        f'fill="white" font-size="{10 if len(text) > 6 else 12}">{escape(text)}</text>'
    )


def _cells(x: int, y: int, values: tuple[float, ...] | list[float]) -> str:
    cells = []
    for i, value in enumerate(values):
        strength = abs(value) / max(map(abs, values))
        colour = BLUE if value >= 0 else "#c0392b"
        cells.append(
            f'<rect x="{x + CELL * i}" y="{y - CELL / 2:.0f}" width="{CELL}" height="{CELL}" fill="{colour}" '
            f'fill-opacity="{0.08 + 0.92 * strength:.2f}" stroke="#7a7a7a" stroke-width="0.8"/>'
        )
    return "".join(cells)


def _arrow(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="2" marker-end="url(#end)"/>'


def _label(x: float, y: float, text: str) -> str:
    width = 8 + 6.6 * len(text)
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18" rx="9" fill="white" '
        f'stroke="{ORANGE}"/><text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="#333" font-size="11">'
        f"{text}</text>"
    )
