"""How long a user's next login waits after wrong passwords: guessing gets slow, one typing error costs nothing.

Each listener counts for itself. A login that waits is not refused, and costs no work.
"""

from typing import Final

FREE: Final = 3
"""So many wrong passwords in a row are not waited for."""
FIRST_WAIT_S: Final = 0.1
WAIT_S_MAX: Final = 3.0
FORGET_S: Final = 60.0
"""After so long without a wrong password all is forgotten."""
USERS_MAX: Final = 4_096
"""Of which one is remembered that was not there for longest: names of users that do not exist count as others do."""


class LoginBackoff:
    """Wrong passwords of each user. now: on the monotonic clock"""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, float]] = {}
        """User -> (how many in a row, when the last was). Invariant: in the order of these times."""

    def wait_s(self, username: str, now: float) -> float:
        """How long from now the next check of this user's password has to wait; 0: not at all."""
        count, last = self._wrong.get(username, (0, 0.0))
        if count < FREE or now - last >= FORGET_S:
            return 0.0
        wait: float = min(FIRST_WAIT_S * 2 ** min(count - FREE, 16), WAIT_S_MAX)
        return max(0.0, last + wait - now)

    def note_wrong(self, username: str, now: float) -> None:
        count, last = self._wrong.pop(username, (0, now))
        if len(self._wrong) >= USERS_MAX:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[username] = (count + 1 if now - last < FORGET_S else 1, now)

    def note_right(self, username: str) -> None:
        self._wrong.pop(username, None)
