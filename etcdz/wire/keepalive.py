"""PINGs that keep a gRPC connection alive: which of the client's are too many, and when the server sends its own.

Source: gRPC keepalive (A8, A9) as grpc-go's server does it, with etcd's PermitWithoutStream=false.
"""

from typing import Final, NamedTuple

STRIKES_MAX: Final = 2
IDLE_MIN_TIME_S: Final = 7_200.0  # between two PINGs of a client that has no call open
INTERVAL_S_MIN: Final = 1.0
PING_ALIVE: Final = bytes(8)
WAIT, ASK, GIVE_UP = range(3)


class KeepaliveRules(NamedTuple):
    """min_time_s   between two PINGs of a client that has calls open
    interval_s   of silence until the server sends a PING
    timeout_s    of silence after that until the client counts as dead
    """

    min_time_s: float = 300.0
    interval_s: float = 7_200.0
    timeout_s: float = 20.0


DEFAULTS: Final = KeepaliveRules()


def rules_of_flags(min_time_s: float, interval_s: float, timeout_s: float) -> KeepaliveRules:
    """What etcd makes of its flags: 0 is grpc-go's default, and one 0 takes both halves of the server's PINGs away."""
    if min_time_s <= 0:
        min_time_s = DEFAULTS.min_time_s
    if interval_s <= 0 or timeout_s <= 0:
        return DEFAULTS._replace(min_time_s=min_time_s)
    return KeepaliveRules(min_time_s, max(interval_s, INTERVAL_S_MIN), timeout_s)


class Strikes:
    """Counts the client's PINGs that come too soon; whatever is sent to the client forgives them all."""

    __slots__ = ("_last_at", "_min_time_s", "_sent", "_strikes")

    def __init__(self, min_time_s: float) -> None:
        self._min_time_s = min_time_s
        self._strikes = 0
        self._last_at = float("-inf")
        self._sent = 0

    def is_over(self, now: float, sent: int, is_busy: bool) -> bool:
        """A PING has come. Whether it is one too many.

        sent     a count that changes with every HEADERS and DATA for the client
        is_busy  the client has calls open
        """
        last_at, self._last_at = self._last_at, now
        if sent != self._sent:
            self._sent = sent
            self._strikes = 0
        elif now < last_at + (self._min_time_s if is_busy else IDLE_MIN_TIME_S):
            self._strikes += 1
        return self._strikes > STRIKES_MAX


class Pulse:
    """When to PING a silent client, and when to give it up."""

    __slots__ = ("_asked", "_deadline", "_rules")

    def __init__(self, rules: KeepaliveRules, now: float) -> None:
        self._rules = rules
        self._asked = False
        self._deadline = now + rules.interval_s

    def look(self, now: float, heard: bool) -> int:
        """heard: anything since the last look. return WAIT, ASK (send a PING) or GIVE_UP"""
        if heard:
            self._asked = False
            self._deadline = now + self._rules.interval_s
        elif now >= self._deadline:
            if self._asked:
                return GIVE_UP
            self._asked = True
            self._deadline = now + self._rules.timeout_s
            return ASK
        return WAIT
