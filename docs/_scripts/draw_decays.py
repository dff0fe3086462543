"""The weights of temporal pooling by the number of later ratings."""

from __future__ import annotations

import math

from svg import SERIES, color, figure, text

from gnnrec.config import ModelConfig

LEFT, TOP, WIDE, HIGH, MOST = 64, 30, 630, 230, 40


def position_decays() -> str:
    """Return a curve for each of ``model.position_decays`` as SVG."""
    parts = [
        f'<path d="M{LEFT},{TOP} V{TOP + HIGH} H{LEFT + WIDE}" fill="none" stroke="{color("muted")}"/>',
        text(LEFT - 44, TOP + HIGH / 2 + 4, "weight", "muted"),
    ]
    for position in range(0, MOST + 1, 10):
        parts.append(text(LEFT + WIDE * position / MOST, TOP + HIGH + 20, str(position), anchor="middle"))
    for weight in (0, 1):
        parts.append(text(LEFT - 10, TOP + HIGH * (1 - weight) + 4, str(weight), anchor="end"))
    for i, decay in enumerate(ModelConfig().position_decays):
        points = " ".join(
            f"{LEFT + WIDE * position / MOST:.1f},{TOP + HIGH * (1 - math.exp(-position / decay)):.1f}"
            for position in range(MOST + 1)
        )
        role = SERIES[i % len(SERIES)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color(role)}" stroke-width="2.2"/>')
        parts.append(text(LEFT + WIDE, TOP + 4 + 20 * i, f"decay {decay:g}", role, anchor="end", bold=True))
    middle = LEFT + WIDE / 2
    parts.append(text(middle, TOP + HIGH + 46, "ratings the user made since", "muted", anchor="middle"))
    return figure(740, 320, "Weight of a rating in each pooled history, by the number of later ratings", *parts)
