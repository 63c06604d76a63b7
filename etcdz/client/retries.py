"""Whether a call that has failed is sent again, and when: a table.

    how it failed                                  repeatable      write
    -------------------------------------------    -----------     -----------
    NOT_SENT   no connection, or refused before
               it was begun (REFUSED_STREAM,
               above the id of a GOAWAY)           again           again
    REFUSED    an answer that says that nothing
               was done: a learner, no leader      again           again
    TOKEN      the token is not taken              with a new one  with a new one
    LOST       the connection ended meanwhile      again           no: maybe applied
    BUSY       any other UNAVAILABLE               again           no: maybe applied
    FINAL      everything else                     no              no: maybe applied, if
                                                                   etcd has not said so

So a write is never sent a second time unless the first surely was not applied. The pace is that of etcd's own client:
up to 100 tries, and a pause of 25 ms, give or take 10 %, after each round of as many tries as a majority of the
endpoints. Source: etcd 3.5 clientv3.
"""

from enum import Enum
from typing import Final

from etcdz.api import errors as api
from etcdz.api.errors import Code

TRIES_MAX: Final = 100
ROUND_PAUSE_S: Final = 0.025
JITTER: Final = 0.1
RENEWALS_MAX: Final = 3
"""Of the token for one call: its user's rights may change again and again meanwhile."""
_TRANSPORT_TEXTS: Final = ("transport is closing",)
_REFUSED_TEXTS: Final = (api.NOT_SUPPORTED_FOR_LEARNER.text, api.NO_LEADER.text)
TOKEN_TEXTS: Final = (api.INVALID_AUTH_TOKEN.text, api.AUTH_OLD_REVISION.text, api.USER_EMPTY.text)
_UNDECIDED: Final = (
    Code.CANCELED, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.INTERNAL,
    Code.DATA_LOSS,
)  # fmt: skip
_DECIDED_TEXTS: Final = frozenset(
    [
        row.text
        for row in api.BY_NAME.values()
        # etcd applies the write that finds the store full, and says that it is full all the same.
        if row.code not in (Code.CANCELED, Code.DEADLINE_EXCEEDED) and row is not api.NO_SPACE
    ]
)
_RESET_REFUSED: Final = "stream terminated by RST_STREAM with error code: 7"


class Failure(Enum):
    NOT_SENT = 1
    REFUSED = 2
    TOKEN = 3
    LOST = 4
    BUSY = 5
    FINAL = 6


_AGAIN: Final = {
    Failure.NOT_SENT: (True, True),
    Failure.REFUSED: (True, True),
    Failure.TOKEN: (True, True),
    Failure.LOST: (True, False),
    Failure.BUSY: (True, False),
    Failure.FINAL: (False, False),
}


def failure_of(code: int, text: str) -> Failure:
    """How a call that was sent has failed."""
    if text in TOKEN_TEXTS:
        return Failure.TOKEN
    if code != Code.UNAVAILABLE:
        return Failure.FINAL
    if text == _RESET_REFUSED:
        return Failure.NOT_SENT
    if text in _REFUSED_TEXTS:
        return Failure.REFUSED
    return Failure.LOST if text in _TRANSPORT_TEXTS else Failure.BUSY


def is_sent_again(failure: Failure, repeatable: bool) -> bool:
    return _AGAIN[failure][0 if repeatable else 1]


def is_maybe_applied(failure: Failure, code: int, text: str, repeatable: bool) -> bool:
    """Of a call that is not sent again. NB: what ends one without a word of etcd's may be a proxy that has lost the
    answer, a stream that was reset, or an answer that is too large."""
    if repeatable or failure in (Failure.NOT_SENT, Failure.REFUSED, Failure.TOKEN):
        return False
    return failure in (Failure.LOST, Failure.BUSY) or (code in _UNDECIDED and text not in _DECIDED_TEXTS)


def pause_s(tries: int, endpoints: int, random: float) -> float:
    """Before the next try. tries: so far, at least 1; random: in [0, 1)"""
    quorum = endpoints // 2 + 1
    if tries % quorum:
        return 0.0
    return ROUND_PAUSE_S * (1 + JITTER * (2 * random - 1))
