"""Draw the rooms of the package and the way of a record through them, from the code itself.

    python scripts/draw_architecture.py

Names, first sentences and thin lines come from the source: the lines are its imports, without those
that follow from others. A new room needs a cell in `CELLS`; nothing else is laid out by hand.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "object2vec"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"

# Column and row of each room. The middle column is the way of a record.
CELLS = {
    "config": (0, 0.0),
    "files": (1, 0.0),
    "objectives": (0, 1.25),
    "evaluation": (0, 2.4),
    "tasks": (2, 7.8),
    "tuning": (2, 8.55),
    "objects": (1, 1.0),
    "compiled": (2, 0.0),
    "devices": (2, 1.25),
    "kernels": (2, 2.5),
    "fields": (1, 2.0),
    "reading": (1, 3.0),
    "reporting": (0, 3.5),
    "pairs": (1, 4.0),
    "network": (1, 5.0),
    "training": (0, 5.9),
    "artifact": (1, 6.8),
    "estimator": (0, 6.92),
    "model": (0, 7.9),
    "inference": (1, 7.8),
    "serving": (1, 8.8),
    "examples": (0, 8.9),
    "sagemaker": (2, 9.3),
    "cli": (1, 9.8),
}
# Of many rooms: a line to each would hide the others.
EVERYWHERE = ("errors", "signals", "task_names", "version")

# What passes from room to room; each step must be an import, in one direction or the other.
WAY = (
    ("files", "objects", "bytes"),
    ("objects", "fields", "values"),
    ("fields", "reading", "ids"),
    ("reading", "pairs", "columns"),
    ("pairs", "network", "batches"),
    ("network", "training", "logits"),
    ("training", "artifact", "weights"),
    ("artifact", "inference", "encoders"),
    ("inference", "serving", "embeddings, scores"),
)

CARD, HEIGHT, GAP, PITCH, MARGIN, TOP = 300, 88, 96, 122, 44, 100
WIDTH = 3 * CARD + 2 * GAP + 2 * MARGIN

STYLE = """
    .paper { fill: #ffffff } .card { fill: #f7f7fb; stroke: #c9c9d8 }
    .main { fill: #eef0fd; stroke: #4051b5; stroke-width: 1.5 }
    .name { font: 600 16px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
    .name, .title { fill: #1c1d2b } .text { fill: #4c4e63 }
    .text, .label, .note { font: 12px system-ui, "DejaVu Sans", "Segoe UI", Arial, sans-serif }
    .title { font: 600 20px system-ui, "DejaVu Sans", "Segoe UI", Arial, sans-serif }
    .note { fill: #6b6d82 } .label { fill: #4051b5; font-weight: 600 }
    .halo { stroke: #ffffff; stroke-width: 6; paint-order: stroke; stroke-linejoin: round }
    .import { fill: none; stroke-linejoin: round; stroke: #a9aabf; stroke-width: 1.3 }
    .way { fill: none; stroke: #4051b5; stroke-width: 4 }
"""


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(read_imports(), read_sentences()), encoding="utf-8")


def room_of(path: Path) -> str:
    """Return the room that a file belongs to: its folder, or its name."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def read_imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    rooms: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = room_of(path)
        if room.startswith("__"):
            continue
        found = rooms.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            parts = [name.split(".") for name in names if name.startswith("object2vec.")]
            found |= {part[1] for part in parts} - {room}
    return rooms


def read_sentences() -> dict[str, str]:
    """Return the first sentence of each room's docstring."""
    found = {}
    for path in sorted(SOURCE.glob("*.py")) + sorted(SOURCE.glob("*/__init__.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[room_of(path)] = text.partition("\n")[0].replace("`", "")
    return found


def reduced(imports: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return (imported, importer) for imports that do not follow from others."""
    shown = {room: imports[room] - {*EVERYWHERE} for room in imports if room not in EVERYWHERE}

    def below(room: str) -> set[str]:
        return shown[room].union(*(below(other) for other in shown[room]))

    return [
        (other, room)
        for room in shown
        for other in sorted(shown[room])
        if not any(other in below(between) for between in shown[room] - {other})
    ]


def corner(room: str) -> tuple[float, float]:
    """Return the upper left corner of a room's card."""
    column, row = CELLS[room]
    return MARGIN + column * (CARD + GAP), TOP + row * PITCH


def draw(imports: dict[str, set[str]], sentences: dict[str, str]) -> str:
    """Return the picture as SVG."""
    unplaced = imports.keys() - CELLS.keys() - {*EVERYWHERE}
    if unplaced:
        raise SystemExit(f"{Path(__file__).name}: CELLS must hold {', '.join(sorted(unplaced))}")
    for start, end, _ in WAY:
        if start not in imports[end] and end not in imports[start]:
            raise SystemExit(f"{Path(__file__).name}: {start} and {end} of WAY import no other")
    height = TOP + max(row for _, row in CELLS.values()) * PITCH + HEIGHT + MARGIN
    passes = {frozenset(step[:2]) for step in WAY}
    edges = [edge for edge in reduced(imports) if frozenset(edge) not in passes]
    main = {room for step in WAY for room in step[:2]}
    ends = ports([*edges, *(step[:2] for step in WAY)])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img"'
            ' aria-label="The rooms of object2vec and the way of a record through them">',
            f"<style>{STYLE}</style>",
            "<defs>",
            *(
                f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="{size}"'
                f' markerHeight="{size}" orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/>'
                "</marker>"
                for name, size, colour in (("thin", 7, "#a9aabf"), ("thick", 3.4, "#4051b5"))
            ),
            "</defs>",
            '<rect class="paper" width="100%" height="100%"/>',
            *header(),
            *(line(*ends[edge], "import", "thin") for edge in edges),
            *(line(*ends[step[:2]], "way", "thick") for step in WAY),
            *(card(room, sentences[room], room in main) for room in CELLS),
            *(label(*ends[step[:2]], step[2]) for step in WAY),
            "</svg>",
            "",
        ]
    )


def header() -> list[str]:
    """Return the title and the legend."""
    return [
        f'<text class="title" x="{MARGIN}" y="36">The way of a record</text>',
        f'<path class="way" d="M{MARGIN} 60h26" marker-end="url(#thick)"/>',
        f'<text class="note" x="{MARGIN + 38}" y="64">what passes from room to room</text>',
        f'<path class="import" d="M{MARGIN + 250} 60h26" marker-end="url(#thin)"/>',
        f'<text class="note" x="{MARGIN + 288}" y="64">is imported by; what follows from other'
        " imports is left out, and errors, which every room imports</text>",
    ]


Point = tuple[float, float]


def ports(edges: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[Point, Point]]:
    """Return where each edge leaves its first card and meets its second.

    Edges within a column go from the bottom to the top, or past the cards between them; others go
    from side to side. Those that share a side stand apart, in the order of their other ends.
    """
    sides: dict[tuple[str, str], list[tuple[float, tuple[str, str], int]]] = {}
    for edge in edges:
        (x0, y0), (x1, y1) = corner(edge[0]), corner(edge[1])
        if x0 == x1 and is_between(edge):
            names = ("left", "left")
        elif x0 == x1:
            names = ("bottom", "top") if y0 < y1 else ("top", "bottom")
        else:
            names = ("right", "left") if x0 < x1 else ("left", "right")
        for end, name in enumerate(names):
            other = corner(edge[1 - end])
            key = other[0] if name in ("bottom", "top") else other[1]
            sides.setdefault((edge[end], name), []).append((key, edge, end))
    found: dict[tuple[str, str], dict[int, Point]] = {}
    for (room, name), users in sides.items():
        x, y = corner(room)
        for index, (_, edge, end) in enumerate(sorted(users), start=1):
            share = index / (len(users) + 1)
            found.setdefault(edge, {})[end] = {
                "top": (x + CARD * share, y),
                "bottom": (x + CARD * share, y + HEIGHT),
                "left": (x, y + HEIGHT * share),
                "right": (x + CARD, y + HEIGHT * share),
            }[name]
    return {edge: (both[0], both[1]) for edge, both in found.items()}


def is_between(edge: tuple[str, str]) -> bool:
    """Return whether a card stands between two others of its column."""
    (column, first), (_, last) = CELLS[edge[0]], CELLS[edge[1]]
    low, high = min(first, last), max(first, last)
    return any(other == column and low < row < high for other, row in CELLS.values())


def line(start: Point, end: Point, kind: str, marker: str) -> str:
    """Return a line that leaves and arrives at right angles to the cards."""
    (x0, y0), (x1, y1) = start, end
    down = min(14, abs(y1 - y0) / 2) * (1 if y1 > y0 else -1)
    if x0 == x1 and (x0 - MARGIN) % (CARD + GAP) == 0:  # past other cards
        x, before, after = x0 - 24, abs(down), abs(down)
    elif abs(x1 - x0) > CARD:  # above the column between them
        side = GAP / 2 if x1 > x0 else -GAP / 2
        path = f"H{x0 + side:g} V{TOP - 16:g} H{x1 - side + 12:g} V{y1:g} H{x1:g}"
        return f'<path class="{kind}" d="M{x0:g} {y0:g} {path}" marker-end="url(#{marker})"/>'
    elif is_vertical(start, end):
        bend = (y1 - y0) / 2
        path = f"C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}"
        return f'<path class="{kind}" d="M{x0:g} {y0:g} {path}" marker-end="url(#{marker})"/>'
    else:  # across the gap that is nearest to the end, behind no other card
        side = 1 if x1 > x0 else -1
        x, before, after = x1 - side * GAP / 2, -side * abs(down), side * abs(down)
    path = (
        f"H{x + before:g} Q{x:g} {y0:g} {x:g} {y0 + down:g} V{y1 - down:g}"
        f" Q{x:g} {y1:g} {x + after:g} {y1:g} H{x1:g}"
    )
    return f'<path class="{kind}" d="M{x0:g} {y0:g} {path}" marker-end="url(#{marker})"/>'


def is_vertical(start: Point, end: Point) -> bool:
    """Return whether both ends are in one column."""
    left, right = ((x - MARGIN) // (CARD + GAP) for x, _ in (start, end))
    return left == right


def card(room: str, sentence: str, is_main: bool) -> str:
    """Return a room's card: its name and its sentence."""
    x, y = corner(room)
    kind = "card main" if is_main else "card"
    rows = wrap(sentence, 41)
    if len(rows) > 3:
        raise SystemExit(f"{room}: the first sentence must fit in three lines; got {sentence!r}")
    text = [
        f'<text class="text" x="{x + 14:g}" y="{y + 44 + 16 * number:g}">{escape(row)}</text>'
        for number, row in enumerate(rows)
    ]
    return "\n".join(
        [
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{CARD}" height="{HEIGHT}" rx="8"/>',
            f'<text class="name" x="{x + 14:g}" y="{y + 24:g}">{room}</text>',
            *text,
        ]
    )


def label(start: Point, end: Point, text: str) -> str:
    """Return the name of what passes, beside the middle of its line."""
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 4
    anchor, shift = ("start", 12) if is_vertical(start, end) else ("middle", 0)
    return (
        f'<text class="label halo" x="{x + shift:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>'
    )


if __name__ == "__main__":
    main()
