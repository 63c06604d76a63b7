"""Random conversations: every answer of etcdz is the one that etcd gives."""

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from tests.parity.calls import KILL, RESTART, Call
from tests.parity.generate import draw_call
from tests.parity.pair import Difference, Pair
from tests.parity.shrink import shrink

_SHORT_CALLS = 40  # about as many are in one short conversation
_STRETCHES = 8
_SHRINK_TRIES = 150


def _conversations() -> st.SearchStrategy[tuple[list[Call], ...]]:
    """Some lists of 5 calls on average. One list would be short as well, or could not shrink to a few calls."""
    stretch = st.lists(st.builds(draw_call, st.randoms(), st.just(15)), max_size=2 * _SHORT_CALLS // _STRETCHES)
    return st.tuples(*[stretch] * _STRETCHES)


def _share(request: pytest.FixtureRequest, percent: int) -> int:
    return max(100, int(request.config.getoption("--parity-ops")) * percent // 100)


def _report(request: pytest.FixtureRequest, pair: Pair, seed: int) -> None:
    """With -v: what was asked, and that both kinds of answer came."""
    if request.config.getoption("verbose") > 0:
        print(f"\n{pair.calls_made} calls so far, --parity-seed {seed}")
        for (name, code), count in sorted(pair.tally.items()):
            print(f"  {name:12} {code:20} {count}")


@pytest.mark.timeout(900)
def test_short_conversations(pair: Pair, seed: int, request: pytest.FixtureRequest) -> None:
    """hypothesis shrinks a difference to the few calls that show it."""

    @hypothesis_seed(seed)
    @settings(
        max_examples=max(1, _share(request, 70) // _SHORT_CALLS),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_conversations())
    def converse(calls: tuple[list[Call], ...]) -> None:
        pair.converse([call for stretch in calls for call in stretch])

    converse()
    _report(request, pair, seed)


@pytest.mark.timeout(900)
def test_one_long_conversation_over_restarts(pair: Pair, seed: int, request: pytest.FixtureRequest) -> None:
    """One history that only grows, with both members stopped and killed in the middle of it."""
    rng = Random(seed)
    count = _share(request, 30)
    pauses = {rng.randrange(count): KILL, rng.randrange(count): RESTART}
    base = pair.begin_conversation()
    done: list[Call] = []
    newest = 1
    try:
        for at in range(count):
            call = Call(pauses[at]) if at in pauses else draw_call(rng, newest)
            answer = pair.compare(call, base, done)
            done.append(call)
            if call.name in ("Put", "Txn", "DeleteRange") and answer.message is not None:
                newest = answer.message.header.revision - base + 1
    except Difference as difference:
        raise _smallest(pair, difference) from None
    _report(request, pair, seed)


def _smallest(pair: Pair, difference: Difference) -> Difference:
    """The difference in the shortest part of the conversation that was found to have one."""
    found = [difference]

    def differs(calls: list[Call]) -> bool:
        try:
            pair.converse(calls)
        except Difference as smaller:
            found.append(smaller)
            return True
        return False

    # The last words of a conversation ask for everything, so that a difference may also show there.
    shrink(difference.calls, differs, tries=_SHRINK_TRIES)
    return min(found, key=lambda each: len(each.calls))
