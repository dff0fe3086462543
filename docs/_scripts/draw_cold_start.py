"""The figures of docs/results/cold-start.md."""

from __future__ import annotations

from typing import Any

from svg import SERIES, color, figure, text

Rows = dict[tuple[str, str, str], dict[str, Any]]
"""Results by case, model and metric."""


def ndcg_by_ratings(rows: Rows) -> str:
    """Return NDCG@10 by the number of known ratings, a curve for each model, as SVG."""
    models = list(dict.fromkeys(key[1] for key in rows))
    counts = sorted({int(key[0].split()[0]) for key in rows})
    value = {(m, n): rows[f"{n} ratings", m, "ndcg@10"]["mean"] for m in models for n in counts}
    low, high = int(min(value.values()) * 20) / 20, (int(max(value.values()) * 20) + 1) / 20
    left, top, width, height = 64, 34, 520, 250
    x = {n: left + width * i / (len(counts) - 1) for i, n in enumerate(counts)}
    y = {key: top + height * (high - v) / (high - low) for key, v in value.items()}
    parts = [text(left, 20, "NDCG@10", "muted")]
    for i in range(round((high - low) / 0.05) + 1):
        mark = low + i * 0.05
        at = round(top + height * (high - mark) / (high - low), 1)
        parts.append(f'<path d="M{left},{at} H{left + width}" stroke="{color("line")}" stroke-width="0.8"/>')
        parts.append(text(left - 8, at + 4, f"{mark:.2f}", anchor="end"))
    parts += [text(round(x[n], 1), top + height + 20, str(n), anchor="middle") for n in counts]
    by_height = sorted(models, key=lambda m: y[m, counts[-1]])
    spots: list[float] = []  # labels keep a distance
    for model in by_height:
        spots.append(max(y[model, counts[-1]], spots[-1] + 17 if spots else 0))
    for role, model in zip(SERIES, models, strict=False):
        points = " ".join(f"{x[n]:.1f},{y[model, n]:.1f}" for n in counts)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{color(role)}" '
            f'stroke-width="{3 if model == "gnn" else 2}"/>'
        )
        parts += [f'<circle cx="{x[n]:.1f}" cy="{y[model, n]:.1f}" r="3.5" fill="{color(role)}"/>' for n in counts]
        at = round(spots[by_height.index(model)] + 4, 1)
        parts.append(text(left + width + 14, at, model, role, bold=model == "gnn"))
    parts.append(text(left + width / 2, top + height + 46, "known ratings per user", "muted", anchor="middle"))
    return figure(740, 350, "NDCG@10 for new users, by the number of known ratings", *parts)


def recall_by_content(cold: Rows, warm: Rows) -> str:
    """Return Recall@20 for cold and warm movies by the content that the model uses, as SVG; whiskers: one std."""
    names = list(dict.fromkeys(key[1] for key in cold))
    panels = ((cold, "among held-out", "cold movies", "new"), (warm, "warm", "warm movies", "user"))
    left, top, width, row_height, gap = 120, 56, 270, 26, 40
    height = top + row_height * len(names) + 20
    parts = []
    for column, (rows, case, title, role) in enumerate(panels):
        start = left + column * (width + gap)
        most = max(rows[case, name, "recall@20"]["mean"] + rows[case, name, "recall@20"]["std"] for name in names)
        parts.append(text(start, 36, f"Recall@20, {title}", role, bold=True))
        for i, name in enumerate(names):
            row = rows[case, name, "recall@20"]
            at, long, spread = top + i * row_height, (width - 50) * row["mean"] / most, (width - 50) * row["std"] / most
            if not column:
                parts.append(text(left - 10, at + 14, name, anchor="end"))
            parts.append(
                f'<rect x="{start}" y="{at}" width="{long:.1f}" height="18" rx="3" fill="{color(role)}" '
                'fill-opacity="0.75"/>'
                f'<path d="M{start + long - spread:.1f},{at + 9} h{2 * spread:.1f}" stroke="{color("ink")}" '
                'stroke-width="1.5"/>'
            )
            parts.append(text(round(start + long + spread + 6, 1), at + 14, f"{row['mean']:.3f}", size=12))
    return figure(740, height, "Recall@20 by the movie content that the model uses", *parts)
