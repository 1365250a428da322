"""What was learned of a user's table, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from object2vec.reporting import events

if TYPE_CHECKING:
    from object2vec.fields.base import Coverage

_FATES = {
    "hashed": "hashed",
    "unknown": "read as unknown",
    "skipped": "left out",
    "by_parts": "read by their parts",
}


def table_lines(event: events.TableLearned) -> list[str]:
    """Return the fields with their vocabularies, the rows, and what was decided and why.

    What was guessed is said as a guess, and how to correct it.
    """
    fields = [
        (
            f"in{each.side}",
            each.column,
            each.kind,
            counted(each.tokens, "token"),
            _reason(each.reason),
        )
        for each in event.fields
    ]
    lines = ["columns", *_aligned(fields)]
    if guess := next((each for each in event.fields if each.reason), None):
        example = f"--in{guess.side} {guess.column}:text"
        lines.append(f"  Any other kind is one word more, such as {example}: `object2vec kinds`.")
    lines += [*_losses(event), _rows(event)]
    if event.preset:
        lines.append(f"preset: {event.preset}")
    if event.decisions:
        lines.append("decided by the data; --set NAME=VALUE overrides")
        shown = [(each.name, _shown(each.value), each.reason) for each in event.decisions]
        lines += _aligned(shown)
    return lines


def counted(count: int, what: str) -> str:
    """Return how many there are of something, in words.

    Examples
    --------
    >>> counted(1, "row"), counted(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {what}" + "s" * (count != 1)


def _reason(reason: str) -> str:
    return f"guessed: {reason}" if reason else "given"


def _losses(event: events.TableLearned) -> Iterator[str]:
    """Yield a line for each field and channel with missing, rare or unseen values."""
    for field in event.fields:
        for channel, coverage in field.coverage.items():
            if parts := [*_parts(coverage, "rare" if channel == "train" else "rare or unseen")]:
                yield f"{channel}, {field.column}: {', '.join(parts)}"


def coverage_lines(coverages: Mapping[str, Coverage]) -> Iterator[str]:
    """Yield a line for each field, by its name, of which not all is known."""
    for name, coverage in coverages.items():
        if parts := [*_parts(coverage, "rare or unseen")]:
            yield f"{name}: {', '.join(parts)}"


def _parts(coverage: Coverage, what: str) -> Iterator[str]:
    """Yield what was not covered: missing values, and tokens that `what` says are not known."""
    if coverage.missing:
        share = _share(coverage.missing, coverage.values)
        yield f"{coverage.missing:,} of {counted(coverage.values, 'value')} missing ({share})"
    for name, fate in _FATES.items():
        if count := getattr(coverage, name):
            share = _share(count, coverage.tokens)
            yield f"{count:,} of {counted(coverage.tokens, 'token')} {what} ({share}), {fate}"


def _share(part: int, whole: int) -> str:
    """Return a share as a percentage that is neither 0 nor 100 unless it is.

    Examples
    --------
    >>> _share(1, 3), _share(1, 10**6), _share(10**6 - 1, 10**6)
    ('33.3 %', 'under 0.1 %', 'over 99.9 %')
    """
    percentage = 100 * part / whole
    if 0 < percentage < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < percentage < 100 else f"{percentage:.1f} %"


def _rows(event: events.TableLearned) -> str:
    counts = [f"{count:,} {channel}" for channel, count in event.rows.items()]
    return f"rows: {', '.join(counts)}" + (f" ({event.split})" if event.split else "")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of texts with their columns below each other.

    Examples
    --------
    >>> _aligned([("in0", "user", "token"), ("in1", "overview", "text")])
    ['  in0  user      token', '  in1  overview  text']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
