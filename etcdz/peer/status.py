"""Whether another member is heard of."""


class Status:
    """active_since: unix time in s, 0.0 while it is not. why: of the last time that it became inactive. times_lost: how
    often it did"""

    __slots__ = ("active_since", "times_lost", "why")

    def __init__(self) -> None:
        self.active_since = 0.0
        self.times_lost = 0
        self.why = ""

    @property
    def is_active(self) -> bool:
        return self.active_since > 0.0

    def activate(self, unix_s: float) -> bool:
        """A stream is attached, or a POST has succeeded; whether that is news."""
        if self.active_since:
            return False
        self.active_since, self.why = unix_s, ""
        return True

    def deactivate(self, why: str) -> bool:
        """A connection has ended, or could not be made; whether that is news."""
        was_active, self.active_since, self.why = self.is_active, 0.0, why
        self.times_lost += was_active
        return was_active
