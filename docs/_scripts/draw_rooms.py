"""The rooms of the package and who imports whom, drawn from the order that the tests keep and from the code itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

WIDTH, HEIGHT, BOX, GAP = 740, 30, 96, 72


def tested() -> ModuleType:
    """Return the test of imports, which knows the rooms in order and reads imports from source."""
    path = Path(__file__).resolve().parent.parent / "tests" / "test_imports.py"
    spec = importlib.util.spec_from_file_location("rooms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports from, in the order of the rooms; written-down exceptions are left out."""
    known = tested()
    found: dict[str, set[str]] = {room: set() for room in known.ROOMS}
    for module in known.MODULES:
        if (room := known.room_of(module)) in found:
            source = (known.PACKAGE / module).read_text(encoding="utf-8")
            found[room] |= {other for other in known.imported(source) if (room, other) not in known.ALLOWED}
    return {room: others & found.keys() - {room} for room, others in found.items()}


def direct(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports that do not follow from others: an arrow less for everything that can be reached anyway."""
    below: dict[str, set[str]] = {}
    for room, others in found.items():  # a room comes after all that it imports from
        below[room] = others.union(*(below[other] for other in others))
    return {room: {o for o in others if not any(o in below[x] for x in others)} for room, others in found.items()}


def places(found: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Return the centre of each room's box: as far up as its imports let it, near to what it imports from."""
    level: dict[str, int] = {}
    for room, others in found.items():
        level[room] = 1 + max((level[other] for other in others), default=-1)
    place: dict[str, tuple[float, float]] = {}
    for row in range(max(level.values()) + 1):
        rooms = [room for room in found if level[room] == row]
        near = {
            room: sum(place[o][0] for o in found[room]) / len(found[room]) if found[room] else 0.0 for room in rooms
        }
        step = WIDTH / len(rooms)
        for i, room in enumerate(sorted(rooms, key=near.__getitem__)):
            place[room] = (step * (i + 0.5), 60 + GAP * row)
    return place


def rooms() -> str:
    """Return the picture of the rooms as SVG."""
    found = imports()
    place, arrows = places(found), direct(found)
    height = round(max(y for _, y in place.values()) + 80)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>The rooms of the package: arrows lead from a room to those it imports from, always upwards</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="white"/>',
        '<defs><marker id="up" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#8fa9bf"/></marker></defs>',
    ]
    for room, others in arrows.items():
        for other in sorted(others):
            (x1, y1), (x2, y2) = place[room], place[other]
            y1, y2 = y1 - HEIGHT / 2, y2 + HEIGHT / 2 + 2
            bend = min((y1 - y2) / 2, 60)
            parts.append(
                f'<path d="M{x1:.1f},{y1:.1f} C{x1:.1f},{y1 - bend:.1f} {x2:.1f},{y2 + bend:.1f} {x2:.1f},{y2:.1f}" '
                'fill="none" stroke="#8fa9bf" stroke-width="1.5" marker-end="url(#up)"/>'
            )
    package = tested().PACKAGE
    for room, (x, y) in place.items():
        folder = (package / room).is_dir()
        fill = "#2a78b5" if folder else "#3a8f4d"
        parts.append(
            f'<rect x="{x - BOX / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{BOX}" height="{HEIGHT}" rx="6" '
            f'fill="{fill}" stroke="white" stroke-width="3"/>'
            f'<text x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="middle" fill="white">'
            f"{room}{'/' * folder}</text>"
        )
    parts.append(
        f'<text x="{WIDTH / 2:.0f}" y="28" text-anchor="middle" fill="#333">A room imports only from rooms above it. '
        "Blue: a folder. Green: a file.</text>"
    )
    parts.append(
        f'<text x="{WIDTH / 2:.0f}" y="{height - 22}" text-anchor="middle" fill="#555">Arrows that follow from others '
        "are left out; the package's own __init__ shows the public names of all of them.</text>"
    )
    return "\n".join([*parts, "</svg>", ""])
