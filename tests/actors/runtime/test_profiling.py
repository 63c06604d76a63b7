"""A profile of this process: what uses CPU time is found, and nothing is left switched on."""

import signal
import time
from collections.abc import Iterator

import pytest

from actors.runtime.profiling import GRACE_S, Profiling
from actors.runtime.switches import Switches

CPU_S = 0.2


@pytest.fixture
def profiling() -> Iterator[tuple[Profiling, Switches]]:
    before = signal.getsignal(signal.SIGPROF)
    switches = Switches()
    yield Profiling(switches), switches
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def burn() -> None:
    until = time.process_time() + CPU_S
    while time.process_time() < until:
        pass


def test_what_used_the_cpu_is_innermost_and_its_callers_follow(profiling: tuple[Profiling, Switches]) -> None:
    verbs = profiling[0].verbs
    assert verbs["profile"]({"for_s": 10, "hz": 200}) == {"hz": 200}
    burn()
    found = verbs["profiled"]({})
    names = [[found["sites"][site][0] for site in stack] for _, stack in found["stacks"]]
    burning = [stack for stack in names if "burn" in stack]
    test_name = test_what_used_the_cpu_is_innermost_and_its_callers_follow.__name__
    assert burning and all(stack.index("burn") < stack.index(test_name) for stack in burning)
    assert (found["hz"], found["lost"]) == (200, 0)


def test_it_ends_when_it_is_taken_or_when_nobody_takes_it(profiling: tuple[Profiling, Switches]) -> None:
    verbs, switches = profiling[0].verbs, profiling[1]
    for end in (lambda: verbs["profiled"]({}), lambda: switches.expire(time.monotonic() + 1 + GRACE_S)):
        verbs["profile"]({"for_s": 1})
        assert signal.getitimer(signal.ITIMER_PROF)[1] > 0
        end()
        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGPROF) == signal.SIG_IGN, "one that is on its way ends nothing"
        assert switches.show(time.monotonic()) == {}
        with pytest.raises(ValueError, match="no profile is under way"):
            verbs["profiled"]({})


def test_there_is_one_at_a_time_and_at_a_rate_that_can_be(profiling: tuple[Profiling, Switches]) -> None:
    verbs = profiling[0].verbs
    for hz in (0, 1_001):
        with pytest.raises(ValueError, match="hz must be"):
            verbs["profile"]({"for_s": 1, "hz": hz})
    verbs["profile"]({"for_s": 1})
    with pytest.raises(ValueError, match="under way already"):
        verbs["profile"]({"for_s": 1})
