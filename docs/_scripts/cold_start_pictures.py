"""The pictures of docs/cold-start.md, as plain text, so that the same file comes out everywhere."""

from __future__ import annotations

from html import escape
from typing import Any

COLOURS = ("#d9730d", "#2a78b5", "#3a8f4d", "#8a63b3", "#7a7a7a")
Rows = dict[tuple[str, str, str], dict[str, Any]]
"""Rows of results by case, model and metric."""


def lines_of(rows: Rows) -> str:
    """Return NDCG@10 over the number of known ratings, a line for each model, as SVG."""
    models = list(dict.fromkeys(key[1] for key in rows))
    supports = sorted({int(key[0].split()[0]) for key in rows})
    value = {(m, s): rows[f"{s} ratings", m, "ndcg@10"]["mean"] for m in models for s in supports}
    low, high = int(min(value.values()) * 20) / 20, (int(max(value.values()) * 20) + 1) / 20
    left, top, width, height = 60, 30, 520, 250
    x = {s: left + width * i / (len(supports) - 1) for i, s in enumerate(supports)}
    y = {key: top + height * (high - v) / (high - low) for key, v in value.items()}
    parts = [*frame(740, 350, "NDCG@10 of new people, by how many of their ratings are known")]
    for i in range(round((high - low) / 0.05) + 1):
        mark = low + i * 0.05
        at = top + height * (high - mark) / (high - low)
        parts.append(f'<path d="M{left},{at:.1f} H{left + width}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#333">{mark:.2f}</text>')
    for s in supports:
        parts.append(f'<text x="{x[s]:.1f}" y="{top + height + 20}" text-anchor="middle" fill="#333">{s}</text>')
    label = sorted(models, key=lambda m: y[m, supports[-1]])
    spots: list[float] = []
    for model in label:
        spots.append(max(y[model, supports[-1]], spots[-1] + 16 if spots else 0))
    for colour, model in zip(COLOURS, models, strict=False):
        points = " ".join(f"{x[s]:.1f},{y[model, s]:.1f}" for s in supports)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{3 if model == "gnn" else 2}"/>'
        )
        parts += [f'<circle cx="{x[s]:.1f}" cy="{y[model, s]:.1f}" r="3.5" fill="{colour}"/>' for s in supports]
        at = spots[label.index(model)]
        parts.append(f'<text x="{left + width + 12}" y="{at + 4:.1f}" fill="{colour}">{escape(model)}</text>')
    middle, under = left + width / 2, top + height + 46
    parts.append(f'<text x="{middle:.0f}" y="{under}" text-anchor="middle" fill="#555">known ratings</text>')
    return "\n".join([*parts, "</svg>", ""])


def bars_of(cold: Rows, warm: Rows) -> str:
    """Return recall for unseen and known movies by choice of content, as SVG; whiskers are the spread."""
    names = list(dict.fromkeys(key[1] for key in cold))
    sides = (
        (cold, "among held-out", "movies nobody has rated", COLOURS[0]),
        (warm, "warm", "known movies", COLOURS[1]),
    )
    left, top, width, row_height, gap = 120, 56, 270, 26, 40
    height = top + row_height * len(names) + 20
    parts = [*frame(740, height, "Recall@20 by what the network knows of movies")]
    for column, (rows, case, title, colour) in enumerate(sides):
        start = left + column * (width + gap)
        most = max(rows[case, name, "recall@20"]["mean"] + rows[case, name, "recall@20"]["std"] for name in names)
        parts.append(f'<text x="{start}" y="36" font-weight="600" fill="{colour}">Recall@20, {title}</text>')
        for i, name in enumerate(names):
            row = rows[case, name, "recall@20"]
            at, long, spread = top + i * row_height, (width - 50) * row["mean"] / most, (width - 50) * row["std"] / most
            if not column:
                parts.append(f'<text x="{left - 10}" y="{at + 14}" text-anchor="end" fill="#333">{escape(name)}</text>')
            parts.append(f'<rect x="{start}" y="{at}" width="{long:.1f}" height="18" fill="{colour}" opacity="0.8"/>')
            parts.append(
                f'<path d="M{start + long - spread:.1f},{at + 9} h{2 * spread:.1f}" stroke="#333" stroke-width="1.5"/>'
            )
            parts.append(
                f'<text x="{start + long + spread + 6:.1f}" y="{at + 14}" fill="#333">{row["mean"]:.3f}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def frame(width: int, height: int, title: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="white"/>',
    ]
