"""Draw docs/pictures/*.svg: python docs/make_pictures.py

Plain text in, plain text out, so that the same file comes out everywhere; a test compares it with the one kept here.
"""

from __future__ import annotations

import math
import sys
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from draw_messages import messages
from draw_rooms import rooms

from gnnrec.config import ModelConfig

PICTURES = Path(__file__).parent / "pictures"
COLOURS = {"user": "#2a78b5", "new": "#d9730d", "movie": "#3a8f4d", "genre": "#8a63b3", "occupation": "#7a7a7a"}
RADIUS = 26

# name: (kind, x, y, text in the circle, text beside it)
NODES = {
    "artist": ("occupation", 70, 120, "artist", ""),
    "nurse": ("occupation", 70, 260, "nurse", ""),
    "u1": ("user", 240, 70, "user 1", ""),
    "u2": ("user", 240, 190, "user 2", ""),
    "new": ("new", 240, 330, "new", "arrives after training"),
    "m1": ("movie", 470, 60, "Alien", ""),
    "m2": ("movie", 470, 150, "Heat", ""),
    "m3": ("movie", 470, 240, "Toy Story", ""),
    "m4": ("movie", 470, 330, "unseen", "no rating yet"),
    "g1": ("genre", 660, 105, "Thriller", ""),
    "g2": ("genre", 660, 285, "Comedy", ""),
}
WORKS = [("artist", "u1"), ("nurse", "u2"), ("artist", "new")]
RATED = [("u1", "m1", "5"), ("u1", "m2", "4"), ("u2", "m2", "5"), ("u2", "m3", "3")]
NEW = [("m2", "new", "5"), ("m3", "new", "4")]
HAS = [("m1", "g1"), ("m2", "g1"), ("m3", "g2"), ("m4", "g2")]


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for name, draw in DRAWN.items():
        (PICTURES / f"{name}.svg").write_text(draw(), encoding="utf-8")


def graph() -> str:
    """Return the picture of the graph as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 420" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>One graph: users, movies, genres and occupations; a new user only reads from it</title>",
        '<rect width="740" height="420" rx="8" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{COLOURS["new"]}"/></marker></defs>',
    ]
    parts += [_edge(start, end, "#c4c4c4") for start, end in WORKS + HAS]
    parts += [_edge(start, end, "#7aa7cc", text) for start, end, text in RATED]
    parts += [_edge(start, end, COLOURS["new"], text, arrow=True) for start, end, text in NEW]
    parts += [_node(*node) for node in NODES.values()]
    for x, text in ((70, "occupations"), (240, "users"), (470, "movies"), (660, "genres")):
        parts.append(f'<text x="{x}" y="24" text-anchor="middle" font-weight="600" fill="#333">{text}</text>')
    parts.append(
        '<text x="370" y="408" text-anchor="middle" fill="#555">Ratings join users and movies, both ways. '
        "A new user reads from the movies and changes nobody.</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def views() -> str:
    """Return the weights of the rank views, over the number of later ratings, as SVG."""
    left, top, width, height, most = 60, 40, 640, 230, 40
    shades = ("#d9730d", "#3a8f4d", "#2a78b5", "#8a63b3")
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 330" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>How each rank view forgets</title>",
        '<rect width="740" height="330" rx="8" fill="white"/>',
        f'<path d="M{left},{top} V{top + height} H{left + width}" fill="none" stroke="#7a7a7a"/>',
    ]
    for rank in range(0, most + 1, 10):
        x = left + width * rank / most
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle" fill="#333">{rank}</text>')
    for weight in (0, 1):
        y = top + height * (1 - weight) + 4
        parts.append(f'<text x="{left - 10}" y="{y:.1f}" text-anchor="end" fill="#333">{weight}</text>')
    decays = ModelConfig().rank_decays
    for i, decay in enumerate(decays):
        points = " ".join(
            f"{left + width * rank / most:.1f},{top + height * (1 - math.exp(-rank / decay)):.1f}"
            for rank in range(most + 1)
        )
        colour, y = shades[i % len(shades)], top + 4 + 18 * i
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + width}" y="{y}" text-anchor="end" fill="{colour}">τ = {decay:g}</text>')
    parts.append(
        f'<text x="{left + width / 2:.0f}" y="{top + height + 42}" text-anchor="middle" fill="#555">'
        "Ratings made since: what each view still sees of a rating</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _edge(start: str, end: str, colour: str, text: str = "", *, arrow: bool = False) -> str:
    (x1, y1), (x2, y2) = NODES[start][1:3], NODES[end][1:3]
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = (x2 - x1) / length * (RADIUS + 3), (y2 - y1) / length * (RADIUS + 3)
    tip = ' marker-end="url(#tip)"' if arrow else ""
    line = (
        f'<line x1="{x1 + dx:.1f}" y1="{y1 + dy:.1f}" x2="{x2 - dx:.1f}" y2="{y2 - dy:.1f}" '
        f'stroke="{colour}" stroke-width="2"{tip}/>'
    )
    if not text:
        return line
    along = 0.55 if arrow else 0.36
    x, y = x1 + along * (x2 - x1), y1 + along * (y2 - y1)
    return (
        f'{line}<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="white" stroke="{colour}"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="#333">{text}</text>'
    )


def _node(kind: str, x: int, y: int, inside: str, beside: str) -> str:
    dashed = ' stroke="#333" stroke-width="1.5" stroke-dasharray="4 3"' if beside else ""
    node = (
        f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{COLOURS[kind]}"{dashed}/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" fill="white" font-size="{10 if len(inside) > 6 else 12}">'
        f"{escape(inside)}</text>"
    )
    if beside:
        node += f'<text x="{x}" y="{y + RADIUS + 16}" text-anchor="middle" fill="#555">{escape(beside)}</text>'
    return node


DRAWN = {"graph": graph, "views": views, "messages": messages, "rooms": rooms}

if __name__ == "__main__":
    main()
