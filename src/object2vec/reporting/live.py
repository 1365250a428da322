"""The live display of a run on a terminal; the only module that imports rich.

While an epoch trains, two lines at the bottom show its bar, the times left, the running metrics and
the speed. Everything else is printed above them and stays, a line for each finished epoch.
"""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from object2vec.objectives import metrics_by_name
from object2vec.reporting import events
from object2vec.reporting.plain import opinions, plain_lines, times_left

_SHOW_EVERY_S = 0.1


class RichReporter:
    """A live bar for the epoch at work, and a line that stays for each finished one.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw. Its cursor is hidden while the bar is shown, until `close`.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown_s = 0.0
        self._has_header = False

    def __call__(self, event: events.Event) -> None:
        """Draw the event."""
        if isinstance(event, events.BatchesDone):
            self._show(event)
        elif isinstance(event, events.EpochDone):
            self._add_row(event)
        else:
            if isinstance(event, events.BestRestored | events.Finished | events.Interrupting):
                self.close()
            for line in plain_lines(event):
                is_warning = line.startswith("warning: ") or isinstance(event, events.Interrupting)
                self._print(line, "yellow" if is_warning else "")

    def close(self) -> None:
        """Remove the bar and give the cursor back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style))

    def _show(self, event: events.BatchesDone) -> None:
        """Move the bar, at most ten times a second."""
        is_recent = 0 <= event.epoch_s - self._shown_s < _SHOW_EVERY_S
        if self._live is not None and is_recent and event.batches < event.batches_total:
            return
        self._shown_s = event.epoch_s
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_bar(event), refresh=True)

    def _add_row(self, event: events.EpochDone) -> None:
        """Print the epoch's line, under a header before the first."""
        if not self._has_header:
            self._has_header = True
            for line in _header(event):
                self._print(line, "dim")
        self._print(_row(event), "green" if event.verdict.is_best else "")


def _bar(event: events.BatchesDone) -> RenderableType:
    """Return the two live lines: the bar with the times left, then metrics and speed."""
    epoch_left, run_left = times_left(event)
    share = event.batches / event.batches_total
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row(
        f"epoch {event.epoch + 1}/{event.epochs}",
        ProgressBar(total=event.batches_total, completed=event.batches),
        f"{share:4.0%}  {epoch_left} left, run {run_left}",
    )
    metrics = [f"{_short(name)} {_cell(value)}" for name, value in event.metrics.items()]
    text = f"{event.pairs_per_s:,.0f} pairs/s  {'  '.join(metrics)}"
    return Group(grid, Text(text, no_wrap=True, overflow="ellipsis"))


def _header(event: events.EpochDone) -> list[str]:
    """Return the two lines above the epochs' rows."""
    widths = _widths(event)
    channels = ["train"] if event.validation is None else ["train", "validation"]
    names = [f"{_short(name):>{width}}" for name, width in widths.items()]
    group = "  ".join(names)
    return [
        f"{'':7}" + "".join(f"  {channel:>{len(group)}}" for channel in channels),
        f"{'epoch':>7}" + f"  {group}" * len(channels),
    ]


def _row(event: events.EpochDone) -> str:
    """Return the line of a finished epoch."""
    groups = [event.train] if event.validation is None else [event.train, event.validation]
    cells = [
        f"{_cell(group[name]):>{width}}"
        for group in groups
        for name, width in _widths(event).items()
    ]
    seconds = f"{event.train_s + event.validation_s:.1f} s"
    status = ", ".join([seconds, *opinions(event.verdict)])
    return "  ".join([f"{event.epoch + 1}/{event.epochs}".rjust(7), *cells, status])


def _widths(event: events.EpochDone) -> dict[str, int]:
    known = metrics_by_name()
    return {name: max(len(_short(name)), 8) for name in event.train if known[name].is_tabled}


def _short(name: str) -> str:
    return metrics_by_name()[name].short or name


def _cell(value: float) -> str:
    return f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:.4f}"
