"""When a member is dialled again, and at which of its URLs."""

from collections.abc import Sequence
from typing import Final

REDIAL_S: Final = 0.1
"""At least so much lies between two attempts for one stream, however the first one has ended."""


class Redial:
    """For one stream, or for all POSTs, to one member."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._at = 0
        self._due = 0.0

    def learn(self, urls: Sequence[str]) -> None:
        """It may be reached elsewhere now."""
        if list(urls) != self._urls:
            self._urls, self._at = list(urls), 0

    @property
    def url(self) -> str:
        """The one to dial; "" if none is known."""
        return self._urls[self._at] if self._urls else ""

    def due(self, now: float) -> float:
        """In how many seconds to dial; 0.0 is now."""
        return max(0.0, self._due - now)

    def on_dial(self, now: float) -> None:
        self._due = now + REDIAL_S

    def on_failure(self) -> None:
        """The next attempt goes to the next URL."""
        if self._urls:
            self._at = (self._at + 1) % len(self._urls)
