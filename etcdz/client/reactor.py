"""The shell of threads: one thread reads all connections of a client; who calls writes itself and waits on a lock.

The core is entered under `lock` alone. Whoever reads sleeps until bytes come or a deadline does; a caller wakes it for
a deadline that is earlier, or for bytes that the kernel does not take. After something has happened it sleeps for
LAZY_S at most, so that calls in a row need not wake it for their deadlines.

Calls in a row by one thread would each wait for two switches of threads. So the client's thread *parks* when an answer
has left nothing under way: for GRACE_S it does not read, and who calls meanwhile *drives*: it reads in its place until
it has its answer. Once nobody has driven for that time, or a driver leaves something under way, it reads again. What is
to be written when a driver has its answer (to a PING of the server) goes with the next call, or after that time.

What the garbage collector ends is only noted (`soon`): it may come at any moment, in a thread that is in the core.

After a fork the child's client begins anew: sockets are closed without a word, and nothing of the parent's goes on.
"""

import contextlib
import os
import random
import select
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from etcdz.client.core import Core
from etcdz.client.dialling import not_now, open_socket
from etcdz.client.errors import ClientClosed
from etcdz.client.lines import Line
from etcdz.client.options import Options
from etcdz.client.pending import Call, Pending, Step, Work

R = TypeVar("R")
LAZY_S: Final = 0.5
GRACE_S: Final = 0.02
_FOREVER: Final = float("inf")
_READ_BYTES: Final = 1 << 18
_CLOSE_S: Final = 1.0
_SLEEP_MAX_S: Final = 86_400.0
"""The kernel takes no more than 24 days; a lease may have years."""


class _Transport:
    """A connected socket, and what the kernel has not taken of what was written."""

    __slots__ = ("_not_now", "fd", "line", "rest", "sock")

    def __init__(self, sock: socket.socket, line: Line) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.line = line
        self.rest = b""
        self._not_now = not_now(line.remote.endpoint)

    def write(self, data: bytes) -> bool:
        """return False: it is waiting for the kernel. raises OSError"""
        if self.rest:
            data = self.rest + data
            self.rest = b""
        while data:
            try:
                sent = self.sock.send(data)
            except self._not_now:
                self.rest = data
                return False
            data = data[sent:]
        return True

    def read(self) -> bytes | None:
        """What has come, b"" at the end, None: nothing yet. raises OSError"""
        try:
            return self.sock.recv(_READ_BYTES)
        except self._not_now:
            return None


class Reactor:
    """One client's thread and sockets."""

    def __init__(self, options: Options) -> None:
        self.lock = threading.Lock()
        self._options = options
        self._is_closed = False
        self._noted: deque[Callable[[Core], object]] = deque()
        self._begin_anew()
        _reactors.add(self)

    def _begin_anew(self) -> None:
        self.core = Core(self._options, time.monotonic, random.random)
        self._transports: dict[int, _Transport] = {}
        self._poll: Any = None
        self._thread: threading.Thread | None = None
        self._wake_fds: tuple[int, int] | None = None
        self._wakes_at = _FOREVER
        self._park = threading.Lock()
        self._park.acquire()
        self._is_parked = False
        self._is_driven = False
        self._driven_at = 0.0

    # ---- for callers ----

    def do(self, step: Step[R]) -> R:
        """What a step comes to. raises EtcdError, and whatever the step's Pending fails with"""
        with self.lock:
            if self._thread is None:
                self._start()
            core = self.core
            pending = step.begin(core)
            if pending.done:
                self._flush()
                return _result(step, pending)
            drives = self._is_parked and not self._is_driven
            if drives:
                self._is_driven = True
                self._push()
                timeout = LAZY_S if _is_long(pending) else self._plan(core, LAZY_S)
            else:
                gate = threading.Lock()
                gate.acquire()
                pending.tell = gate.release
                self._flush()
        try:
            if drives:
                self._drive(core, pending, timeout)
            else:
                gate.acquire()
        except BaseException:
            with self.lock:
                step.give_up(core, pending)
                self._flush()
            raise
        return _result(step, pending)

    def run(self, work: Work[R]) -> R:
        """An operation's result. What interrupts it is thrown into it, so that it can tidy up."""
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = work.send(value) if error is None else work.throw(error)
            except StopIteration as stop:
                result: R = stop.value
                return result
            value, error = None, None
            try:
                value = self.do(step)
            except BaseException as failed:
                error = failed

    def enter(self, do: Callable[[Core], R]) -> R:
        """Something of the core that waits for nothing."""
        with self.lock:
            if self._thread is None:
                self._start()
            result = do(self.core)
            self._flush()
        return result

    def soon(self, do: Callable[[Core], object]) -> None:
        """The same, a little later and in the client's thread; takes no lock."""
        if self._thread is not None and not self._is_closed:
            self._noted.append(do)
            self._wake()

    def close_soon(self) -> None:
        """Nobody has the client any more."""
        self.soon(lambda core: self._shut())

    def _shut(self, text: str = "the client is closed") -> None:
        self._is_closed = True
        self.core.close(text)

    def close(self) -> None:
        """All calls that are under way fail with ClientClosed. The thread has ended when this returns."""
        with self.lock:
            if self._is_closed:
                return
            self._shut()
            thread = self._thread
            if thread is None:
                return
            self._flush()
            self._wake()
            self._unpark()
        if thread is not threading.current_thread():
            thread.join(_CLOSE_S)

    # ---- in the lock ----

    def _start(self) -> None:
        """raises ClientClosed"""
        if self._is_closed:
            raise ClientClosed("the client is closed")
        self._wake_fds = os.pipe()
        for fd in self._wake_fds:
            os.set_blocking(fd, False)
        self._poll = select.poll()
        self._poll.register(self._wake_fds[0], select.POLLIN)
        self._thread = threading.Thread(target=self._loop, args=(self.core,), name="etcdz-client", daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        if self._wake_fds is not None:
            with contextlib.suppress(OSError):  # it is full, or its thread has just ended
                os.write(self._wake_fds[1], b"\0")
        self._wakes_at = 0.0

    def _unpark(self) -> None:
        if self._is_parked and self._park.locked():
            self._park.release()

    def _flush(self) -> None:
        """What the core wants done, and whoever reads is woken if that is due before it would wake by itself."""
        self._push()
        deadline = self.core.next_deadline()
        if deadline is not None and deadline < self._wakes_at:
            self._wake()

    def _push(self) -> None:
        """What the core wants done: connections dialled, bytes written, connections closed."""
        core = self.core
        for line in core.take_dials():
            threading.Thread(target=self._dial, args=(core, line), name="etcdz-dial", daemon=True).start()
        while writes := core.take_writes():
            for line in writes:
                transport = line.transport
                if transport is None:
                    continue
                output = line.grpc.take_output()
                try:
                    if output and not transport.write(output):
                        self._poll.modify(transport.fd, select.POLLIN | select.POLLOUT)
                        self._wake()
                except OSError as error:
                    core.lost(line, str(error))
        for line in core.take_hangups():
            self._hang_up(line)

    def _plan(self, core: Core, timeout: float | None) -> float | None:
        """How long whoever reads may sleep. timeout: at most"""
        deadline, now = core.next_deadline(), time.monotonic()
        if deadline is not None:
            left = min(max(0.0, deadline - now), _SLEEP_MAX_S)
            timeout = left if timeout is None else min(left, timeout)
        self._wakes_at = _FOREVER if timeout is None else now + timeout
        return timeout

    def _turn(self, core: Core, ready: list[tuple[int, int]], driver: Pending[Any] | None = None) -> float | None:
        """What has come, and what is due. return how long whoever reads may sleep. driver: what who reads waits for"""
        self._wakes_at = 0.0  # while it is awake nobody need wake it
        for fd, flags in ready:
            self._on_ready(core, fd, flags)
        while self._noted:
            self._noted.popleft()(core)
        if driver is not None and driver.done:
            return None
        deadline = core.next_deadline()
        if deadline is not None and deadline <= time.monotonic():
            core.expire()
        self._push()
        return self._plan(core, LAZY_S if ready else None)

    def _hang_up(self, line: Line) -> None:
        transport, line.transport = line.transport, None
        if transport is not None:
            self._transports.pop(transport.fd, None)
            with contextlib.suppress(KeyError, OSError):
                self._poll.unregister(transport.fd)
            transport.sock.close()

    # ---- threads ----

    def _dial(self, core: Core, line: Line) -> None:
        """One connection, in a thread of its own: names are looked up and handshakes made without holding others up."""
        options = core.options
        try:
            sock = open_socket(line.remote.endpoint, options.tls, options.dial_timeout_s)
        except (OSError, ValueError) as error:  # ValueError: a name that is none
            with self.lock:
                core.dial_failed(line, str(error))
                if core is self.core:
                    self._flush()
            return
        with self.lock:
            if core is not self.core or self._is_closed or line.is_ended:
                sock.close()
                return
            transport = line.transport = _Transport(sock, line)
            self._transports[transport.fd] = transport
            self._poll.register(transport.fd, select.POLLIN)
            core.connected(line)
            self._flush()
            self._wake()

    def _loop(self, core: Core) -> None:
        try:
            timeout: float | None = None
            while not self._is_closed:
                ready = self._poll.poll(None if timeout is None else timeout * 1000)
                with self.lock:
                    timeout = self._turn(core, ready)
                    self._is_parked = bool(ready) and not self._is_closed and not core.is_busy
                if self._is_parked:
                    timeout = self._stay_parked(core)
        finally:
            self._end()

    def _stay_parked(self, core: Core) -> float | None:
        """Returns when it is to read again, and how long it may sleep then."""
        while True:
            self._park.acquire(timeout=GRACE_S)
            with self.lock:
                is_wanted = core.is_busy or time.monotonic() >= self._driven_at + GRACE_S
                if self._is_closed or (is_wanted and not self._is_driven):
                    self._is_parked = False
                    self._push()
                    return self._plan(core, LAZY_S)

    def _drive(self, core: Core, pending: Pending[Any], timeout: float | None) -> None:
        """Reads in place of the client's thread until pending is done."""
        drives = True
        try:
            if pending.done:
                timeout = 0.0
            while True:
                ready = self._poll.poll(None if timeout is None else timeout * 1000)
                with self.lock:
                    timeout = self._turn(core, ready, pending)
                    if pending.done:  # NB: as soon as the lock is free another may drive, and nobody reads beside it
                        drives = False
                        self._stop_driving(core)
                        return
        except BaseException:
            with self.lock:
                if drives:
                    self._stop_driving(core)
            raise

    def _stop_driving(self, core: Core) -> None:
        self._is_driven = False
        self._driven_at = time.monotonic()
        self._wakes_at = _FOREVER
        if self._is_closed or core.is_busy:
            self._push()
            self._unpark()

    def _on_ready(self, core: Core, fd: int, flags: int) -> None:
        transport = self._transports.get(fd)
        if transport is None:
            if self._wake_fds is not None and fd == self._wake_fds[0]:
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 4096)
            return
        line = transport.line
        try:
            if flags & select.POLLOUT and transport.write(b""):
                self._poll.modify(fd, select.POLLIN)
            if flags & ~select.POLLOUT:
                self._read(core, transport, line)
        except OSError as error:
            core.lost(line, str(error))

    def _read(self, core: Core, transport: _Transport, line: Line) -> None:
        """raises OSError"""
        data = transport.read()
        while data is not None:
            if not data:
                core.lost(line)
                return
            core.received(line, data)
            if len(data) < _READ_BYTES and not line.remote.endpoint.is_secure:
                return
            data = transport.read() if line.transport is transport else None

    def _end(self) -> None:
        with self.lock:
            if not self._is_closed:  # by a mistake, which its traceback tells: nobody may wait for answers any more
                self._shut("the client's thread has failed")
            for transport in list(self._transports.values()):
                self._hang_up(transport.line)
            fds, self._wake_fds = self._wake_fds, None
            for fd in fds or ():
                os.close(fd)

    # ---- fork ----

    def after_fork(self) -> None:
        """In the child; the lock is held, as it was in the parent."""
        self.lock = threading.Lock()
        self.core.close("the process was forked")
        for transport in self._transports.values():
            transport.sock.close()
        for fd in self._wake_fds or ():
            os.close(fd)
        self._begin_anew()


def _is_long(pending: Pending[Any]) -> bool:
    """A call that is on its way, and whose deadline is not near. NB: a connection may have ended under it."""
    if pending.done or pending.__class__ is not Call or pending.line is None:
        return False
    deadline = pending.deadline
    return deadline is None or deadline > time.monotonic() + LAZY_S


def _result(step: Step[R], pending: Pending[Any]) -> R:
    if pending.error is not None:
        raise pending.error
    return step.result(pending.value)


_reactors: "weakref.WeakSet[Reactor]" = weakref.WeakSet()
_held: list[Reactor] = []


def _before_fork() -> None:
    _held[:] = list(_reactors)
    for reactor in _held:
        reactor.lock.acquire()


def _in_parent() -> None:
    for reactor in _held:
        reactor.lock.release()
    _held.clear()


def _in_child() -> None:
    for reactor in _held:
        reactor.after_fork()
    _held.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
