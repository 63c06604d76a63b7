"""A progress bar on the terminal, if there is one. It goes to stderr, so that stdout holds the result alone."""

import sys
from types import TracebackType
from typing import Any, Self


class ProgressBar:
    """A context manager. NB: it starts no thread of its own; each `show` draws."""

    def __init__(self, total: int, what: str) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = _new_bar()
            self._task = self._bar.add_task(what, total=total, rate="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def show(self, done: int, seconds: float) -> None:
        """done: so far, of the total. seconds: since the start"""
        if self._bar is not None:
            rate = f"{done / seconds:,.0f}/s" if seconds > 0 else ""
            self._bar.update(self._task, completed=done, rate=rate, refresh=True)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _new_bar() -> Any:
    # Only here: rich takes longer to import than a short run to make.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)
