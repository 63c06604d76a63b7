"""Whether another member is heard of."""


class Status:
    """active_since: unix time in s, 0.0 while it is not. why: of the last time that it became inactive"""

    __slots__ = ("active_since", "why")

    def __init__(self) -> None:
        self.active_since = 0.0
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
        return was_active
