"""The figures of docs/results/graph.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from svg import SERIES, color, figure, text


def depth(panels: Mapping[str, Mapping[str, float]], metric: str) -> str:
    """Return a group of bars for each kind of data, one bar for each number of layers, as SVG.

    Every group has a scale of its own, from zero to its best bar; the value stands on the bar.
    """
    left, top, height, bar, gap = 30, 46, 190, 40, 8
    room = max(len(bars) for bars in panels.values()) * (bar + gap) + 30
    width = left + len(panels) * room
    parts = [text(left, 24, metric, "muted")]
    roles: dict[str, str] = {}
    for i, (name, bars) in enumerate(panels.items()):
        start, best = left + i * room, max(bars.values())
        for j, (label, value) in enumerate(bars.items()):
            role = roles.setdefault(label, SERIES[len(roles) % len(SERIES)])
            x, tall = start + j * (bar + gap), height * value / best
            y = top + height - tall
            parts.append(
                f'<rect x="{x}" y="{y:.1f}" width="{bar}" height="{tall:.1f}" rx="3" fill="{color(role)}" '
                'fill-opacity="0.8"/>'
            )
            parts.append(text(x + bar / 2, round(y - 5, 1), f"{value:.3f}", anchor="middle", size=11))
        middle = start + (len(bars) * (bar + gap) - gap) / 2
        parts.append(text(round(middle, 1), top + height + 20, name, anchor="middle"))
    x = float(left)
    for label, role in roles.items():
        parts.append(
            f'<rect x="{x:g}" y="{top + height + 38}" width="12" height="12" rx="2" fill="{color(role)}" '
            'fill-opacity="0.8"/>'
        )
        parts.append(text(x + 18, top + height + 49, label))
        x += 40 + 7 * len(label)
    return figure(max(740, width), top + height + 66, f"{metric} by number of layers, for each kind of data", *parts)


def smoothing(curves: Mapping[str, Sequence[float]]) -> str:
    """Return the mean cosine of two nodes after each propagation step, a curve for each kind of data, as SVG."""
    left, top, width, height = 64, 34, 420, 220
    steps = max(len(values) for values in curves.values()) - 1
    x = [left + width * step / max(steps, 1) for step in range(steps + 1)]
    low = min(0.0, *(min(values) for values in curves.values()))
    parts = [text(left, 20, "mean cosine of two nodes", "muted")]
    for mark in (0, 0.25, 0.5, 0.75, 1):
        at = round(top + height * (1 - mark) / (1 - low), 1)
        parts.append(f'<path d="M{left},{at} H{left + width}" stroke="{color("line")}" stroke-width="0.8"/>')
        parts.append(text(left - 8, at + 4, f"{mark:g}", anchor="end"))
    labels = ["movies, no message yet", "users, 1 layer", "movies", "users, 2 layers", "movies", "users, 3 layers"]
    for step in range(steps + 1):
        parts.append(text(round(x[step], 1), top + height + 20, labels[step], anchor="middle", size=10))
    order = sorted(curves, key=lambda name: -curves[name][-1])
    spots: list[float] = []  # labels keep a distance
    for name in order:
        at = top + height * (1 - curves[name][-1]) / (1 - low)
        spots.append(max(at, spots[-1] + 17 if spots else 0))
    for role, (name, values) in zip(SERIES, curves.items(), strict=False):
        y = [top + height * (1 - value) / (1 - low) for value in values]
        points = " ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in range(len(values)))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color(role)}" stroke-width="2.2"/>')
        parts += [f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="3.5" fill="{color(role)}"/>' for i in range(len(values))]
        parts.append(text(left + width + 34, round(spots[order.index(name)] + 4, 1), name, role, bold=True))
    return figure(740, top + height + 40, "Mean cosine of two nodes after each step of propagation", *parts)
