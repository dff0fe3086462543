"""The idea in one picture: a heterogeneous graph, a user who joins after training, and their ranked list."""

from __future__ import annotations

from svg import arrow_head, color, curve, figure, text

WIDTH, HEIGHT, BOX, TALL = 920, 430, 112, 34

# name: (role, center x, center y, label)
NODES = {
    "artist": ("occupation", 74, 130, "artist"),
    "nurse": ("occupation", 74, 210, "nurse"),
    "u1": ("user", 244, 90, "user 1"),
    "u2": ("user", 244, 170, "user 2"),
    "new": ("new", 244, 310, "new user"),
    "m1": ("movie", 434, 80, "Alien"),
    "m2": ("movie", 434, 150, "Heat"),
    "m3": ("movie", 434, 220, "Toy Story"),
    "m4": ("movie", 434, 310, "Night Train"),
    "g1": ("genre", 606, 115, "Thriller"),
    "g2": ("genre", 606, 245, "Comedy"),
}
WORKS_AS = [("artist", "u1"), ("nurse", "u2"), ("artist", "new")]
RATED = [("u1", "m1", "5"), ("u1", "m2", "4"), ("u2", "m2", "5"), ("u2", "m3", "3")]
NEW_RATINGS = [("m2", "new", "5"), ("m3", "new", "4")]
HAS_GENRE = [("m1", "g1"), ("m2", "g1"), ("m3", "g2"), ("m4", "g1")]
RANKED = [("1", "Alien", 118), ("2", "Night Train", 96), ("3", "Ronin", 81), ("4", "Big", 52)]


def graph() -> str:
    """Return the picture as SVG."""
    parts = [arrow_head("graph-tip", "new")]
    for x, width, title in ((14, 680, "One graph, trained once"), (716, 190, "Ranked for the new user")):
        parts.append(f'<rect x="{x}" y="14" width="{width}" height="372" rx="10" fill="{color("panel")}"/>')
        parts.append(text(x + width / 2, 40, title, anchor="middle", size=14, bold=True))
    parts += [_link(start, end, "line") for start, end in WORKS_AS + HAS_GENRE]
    parts += [_link(start, end, "user", width=2, label=label) for start, end, label in RATED]
    parts += [_message(start, end, label) for start, end, label in NEW_RATINGS]
    parts += [_node(*node) for node in NODES.values()]
    parts.append(text(244, 345, "arrives after training", "muted", anchor="middle", size=12))
    parts.append(text(434, 345, "no ratings yet", "muted", anchor="middle", size=12))
    for x, title in ((74, "occupations"), (244, "users"), (434, "movies"), (606, "genres")):
        parts.append(text(x, 376, title, "muted", anchor="middle", size=12, bold=True))
    for i, (rank, title, length) in enumerate(RANKED):
        y = 66 + 64 * i
        parts.append(f'<rect x="730" y="{y}" width="162" height="52" rx="8" fill="{color("paper")}"/>')
        parts.append(text(742, y + 22, rank, "muted"))
        parts.append(text(758, y + 22, title, bold=True))
        parts.append(f'<rect x="758" y="{y + 32}" width="122" height="7" rx="3.5" fill="{color("line")}"/>')
        parts.append(f'<rect x="758" y="{y + 32}" width="{length}" height="7" rx="3.5" fill="{color("new")}"/>')
    parts.append(text(811, 345, "score = ⟨user, movie⟩", "muted", anchor="middle", size=12))
    parts.append(text(811, 376, "every movie in the catalog", "muted", anchor="middle", size=12, bold=True))
    parts.append(
        text(
            WIDTH / 2,
            412,
            "A user is their ratings and their profile. A new user aggregates messages from rated movies; nothing is retrained.",
            "muted",
            anchor="middle",
        )
    )
    return figure(
        WIDTH,
        HEIGHT,
        "A graph of users, movies, genres and occupations. A new user aggregates messages from the movies they rated "
        "and gets a ranked list of all movies.",
        *parts,
    )


def _sides(start: str, end: str) -> tuple[float, float, float, float]:
    """Return the ends of a curve between the facing sides of two nodes."""
    (x1, y1), (x2, y2) = NODES[start][1:3], NODES[end][1:3]
    half = BOX / 2 if x2 > x1 else -BOX / 2
    return x1 + half, y1, x2 - half, y2


def _link(start: str, end: str, role: str, *, width: float = 1.6, label: str = "") -> str:
    x1, y1, x2, y2 = _sides(start, end)
    parts = curve(x1, y1, x2, y2, role, width=width)
    return parts + (_rating((x1 + x2) / 2, (y1 + y2) / 2, label, role) if label else "")


def _message(start: str, end: str, label: str) -> str:
    x1, y1, x2, y2 = _sides(start, end)
    y2 += -6 if start == "m2" else 6  # two arrow heads side by side
    return curve(x1, y1, x2 + 3, y2, "new", width=2.4, arrow="graph-tip") + _rating(
        (x1 + x2) / 2, (y1 + y2) / 2, label, "new"
    )


def _rating(x: float, y: float, label: str, role: str) -> str:
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="9.5" fill="{color("paper")}" stroke="{color(role)}" stroke-width="1.4"/>'
        + text(x, y + 4.2, label, anchor="middle", size=12)
    )


def _node(role: str, x: float, y: float, label: str) -> str:
    dashed = ' stroke-dasharray="5 3"' if label in ("new user", "Night Train") else ""
    return (
        f'<rect x="{x - BOX / 2:g}" y="{y - TALL / 2:g}" width="{BOX}" height="{TALL}" rx="{TALL / 2:g}" '
        f'fill="{color("paper")}" stroke="{color(role)}" stroke-width="2"{dashed}/>'
        f'<circle cx="{x - BOX / 2 + 17:g}" cy="{y:g}" r="5" fill="{color(role)}"/>'
        + text(x - BOX / 2 + 29, y + 4.5, label)
    )
