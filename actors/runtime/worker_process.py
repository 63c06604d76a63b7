"""What a process that an actor starts for one piece of work has in common with others: how it begins, and how it ends.

It belongs to the actor that has started it: when its stdin ends, the actor is gone or has no use for it any more, and
it removes what it has made and ends (SystemExit in the main thread, whatever that waits for). `finally` blocks that
tidy up call `hold_signals` first, so that nothing comes in the middle of them.
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import msgpack

NICE = 10
"""Such work gives way to puts."""


def begin(on_input: Callable[[bytes], object]) -> None:
    """To be called first, in the main thread.

    on_input    called with what comes on stdin, in a thread of its own
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C: the actor ends first, and this process with it
    os.nice(NICE)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # not only where the actor is pinned
    signal.signal(signal.SIGTERM, _on_term)
    threading.Thread(target=_read_input, args=[threading.get_ident(), on_input], daemon=True).start()


def begin_with_orders() -> "queue.SimpleQueue[Any]":
    """The same for one that is told what to do: the msgpack values that come on stdin."""
    unpacker, orders = msgpack.Unpacker(), queue.SimpleQueue[Any]()

    def on_input(data: bytes) -> None:
        unpacker.feed(data)
        for order in unpacker:
            orders.put(order)

    begin(on_input)
    return orders


def say(**fields: Any) -> None:
    """One msgpack map on stdout, at once."""
    sys.stdout.buffer.write(msgpack.packb(fields))
    sys.stdout.buffer.flush()


def end_with(work: Callable[[], None], *failures: type[Exception]) -> NoReturn:
    """Do the work and end this process: with status 0, or with 1, and a line on stderr if it is one of these failures.

    NB: what stdout still holds then has no reader.
    """
    status = 1
    try:
        work()
        status = 0
    except (BrokenPipeError, SystemExit):
        pass  # the actor does not listen any more: there is nothing to say
    except failures as error:
        sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    os._exit(status)


def hold_signals() -> None:
    """Tidying up begins."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def release_signals() -> None:
    """It is done, and work goes on; or ends here, if the actor is gone."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _read_input(main: int, on_input: Callable[[bytes], object]) -> None:
    """main: the thread to interrupt at the end, which may be blocked in a call."""
    while data := os.read(0, 1 << 16):
        on_input(data)
    signal.pthread_kill(main, signal.SIGTERM)


def _on_term(signum: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(1)
