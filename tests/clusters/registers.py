"""Clients that read, write and compare-and-set a few registers at all members, and whether there is an order in which
all of it makes sense: a second opinion that looks at no revision, beside tests/process/checker.py.

    with Registers(targets, seed) as registers:
        ...                                         # faults
    find_violation(registers.history())             # None: linearizable

Each value is written at most once, and an operation that fails says what it has seen. So what a client was not told of
matters only where somebody has seen its value: all other writes without an answer are left out, and the search stays
small. The search is Lowe's: forwards in time, and an operation takes effect only when the end of one asks for it. A
value is not overwritten before all have seen it who say so, since it would not come back.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.process.load import open_channel, unary

READ, WRITE, CAS = "read", "write", "cas"
KEYS: Final = 5
_CALL_TIMEOUT_S: Final = 10.0
_AFTER_ERROR_S: Final = 0.05
_NEVER: Final = float("inf")
Value = int | None


class Operation(NamedTuple):
    """What a client asked for and what it was told; None of a value: the key is not there.

    expects     of a cas: what it compares with
    writes      of a write or a cas: the new value
    saw         of a read, or of a cas that failed: the value then
    done        of a cas: whether it was equal. Of a write: True
    ended_s     _NEVER: it is not known whether it was done
    """

    key: int
    kind: str
    began_s: float
    ended_s: float
    expects: Value = None
    writes: Value = None
    saw: Value = None
    done: bool = True
    where: str = ""

    @property
    def needs(self) -> Value | bool:
        """The value that it has seen, on which it takes effect; False for a write, which sees none."""
        if self.kind == WRITE:
            return False
        return self.expects if self.kind == CAS and self.done else self.saw

    def step(self, value: Value) -> tuple[bool, Value]:
        """(whether it can take effect on this value with the outcome that was told, the value afterwards)"""
        if self.kind == READ:
            return value == self.saw, value
        if self.kind == WRITE:
            return True, self.writes
        if self.done:
            return value == self.expects, self.writes
        return value == self.saw and value != self.expects, value


# ---- checking


class Violation(NamedTuple):
    """No order explains this operation's outcome. around: those of its key that overlap it or end just before"""

    operation: Operation
    around: list[Operation]

    def __str__(self) -> str:
        return "\n".join([f"not linearizable: {self.operation}", *map(str, self.around)])


def find_violation(history: Iterable[Operation]) -> Violation | None:
    """None if the history of each key is linearizable."""
    by_key: dict[int, list[Operation]] = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    return next(filter(None, map(_violation_of_key, by_key.values())), None)


Configuration = tuple[Value, frozenset[int]]
"""The value, and the operations under way that have taken effect."""


def _violation_of_key(operations: list[Operation]) -> Violation | None:
    search = _Search(_relevant(operations))
    for at, is_end in _events(search.operations):
        if is_end:
            search.end(at)
        else:
            search.under_way.add(at)
        if not search.configurations:
            return Violation(search.operations[at], _around(search.operations[at], search.operations))
    return None


class _Search:
    """All configurations that explain what has ended so far. At least one has to remain."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self.configurations: set[Configuration] = {(None, frozenset())}
        self.under_way: set[int] = set()
        self._waiting: dict[Value, set[int]] = defaultdict(set)
        """Value -> operations that have seen it, and whose end has not come."""
        for at, operation in enumerate(operations):
            if operation.needs is not False and operation.ended_s != _NEVER:
                self._waiting[operation.needs].add(at)
        seen = {operation.needs for operation in operations}
        self._unseen = {
            at for at, operation in enumerate(operations) if operation.kind == WRITE and operation.writes not in seen
        }
        """Writes of which nobody has seen the value: just before another write there is always room for them."""

    def end(self, wanted: int) -> None:
        """Keeps those that can be reached in which `wanted` has taken effect; it is remembered no longer."""
        found = set()
        seen = set(self.configurations)
        left = list(self.configurations)
        while left:
            value, effective = left.pop()
            if wanted in effective:
                found.add((value, effective - {wanted}))
                continue
            for at in self.under_way - effective - (self._unseen - {wanted}):
                reached = self._step(at, value, effective)
                if reached is not None and reached not in seen:
                    seen.add(reached)
                    left.append(reached)
        self.configurations = found
        self.under_way.discard(wanted)
        self._waiting[self.operations[wanted].needs].discard(wanted)

    def _step(self, at: int, value: Value, effective: frozenset[int]) -> Configuration | None:
        fits, after = self.operations[at].step(value)
        effective = effective | {at}
        if self.operations[at].kind == WRITE:
            effective |= self.under_way & self._unseen
        if not fits or (after != value and not self._waiting[value] <= effective):
            return None
        return after, effective


def _relevant(operations: Sequence[Operation]) -> list[Operation]:
    """Without those whose effect, if there was one, nobody has seen. A read without an answer is one of them."""
    seen = {operation.saw for operation in operations if operation.ended_s != _NEVER}
    seen |= {operation.expects for operation in operations if operation.kind == CAS and operation.done}
    return [operation for operation in operations if operation.ended_s != _NEVER or operation.writes in seen - {None}]


def _events(operations: Sequence[Operation]) -> Iterator[tuple[int, bool]]:
    """(number of the operation, whether it ends), in the order of time; equal times overlap: begins come first."""
    begins = [(operation.began_s, False, at) for at, operation in enumerate(operations)]
    ends = [(operation.ended_s, True, at) for at, operation in enumerate(operations) if operation.ended_s != _NEVER]
    for _, is_end, at in sorted(begins + ends):
        yield at, is_end


def _around(operation: Operation, operations: Iterable[Operation]) -> list[Operation]:
    near = [
        other
        for other in operations
        if other is not operation and other.began_s <= operation.ended_s and other.ended_s >= operation.began_s - 0.5
    ]
    return sorted(near, key=lambda other: other.began_s)[-20:]


# ---- clients


class Registers:
    """Some threads for each target, each with one call at a time, until they are stopped; a context manager."""

    def __init__(self, targets: dict[str, str], seed: int, clients: int = 3, prefix: str = "register") -> None:
        """targets: name of a member -> host:port"""
        self._stopping = threading.Event()
        self._prefix = prefix
        self._clients = [
            _Client(self, name, target, number, random.Random(f"{seed}/{name}/{number}"))
            for name, target in targets.items()
            for number in range(clients)
        ]
        for at, client in enumerate(self._clients):
            client.first_value, client.value_step = at + 1, len(self._clients)
        self._threads = [threading.Thread(target=client.run, daemon=True) for client in self._clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=4 * _CALL_TIMEOUT_S)

    def history(self) -> list[Operation]:
        """Requires: it has ended, or whoever reads does not mind that it goes on."""
        return [operation for client in self._clients for operation in list(client.operations)]

    def goes_on(self) -> bool:
        return not self._stopping.is_set()

    def pause(self) -> None:
        self._stopping.wait(_AFTER_ERROR_S)

    def key(self, number: int) -> bytes:
        return b"%b/%d" % (self._prefix.encode(), number)


class _Client:
    def __init__(self, registers: Registers, where: str, target: str, number: int, rng: random.Random) -> None:
        self.operations: list[Operation] = []
        self.first_value, self.value_step = 1, 1
        self._registers = registers
        self._where = f"{where}/{number}"
        self._target = target
        self._random = rng
        self._written = 0
        self._known: dict[int, Value] = {}
        """Key -> value as last seen: what a cas expects."""

    def run(self) -> None:
        with open_channel(self._target) as channel:
            self._range = unary(channel, "KV/Range", pb.RangeResponse)
            self._put = unary(channel, "KV/Put", pb.PutResponse)
            self._txn = unary(channel, "KV/Txn", pb.TxnResponse)
            while self._registers.goes_on():
                key = self._random.randrange(KEYS)
                kind = self._random.choices((READ, WRITE, CAS), (5, 3, 4))[0]
                {READ: self._read, WRITE: self._write, CAS: self._compare_and_set}[kind](key)

    def _new_value(self) -> int:
        self._written += 1
        return self.first_value + self._written * self.value_step

    def _note(self, operation: Operation, ended: bool) -> None:
        operation = operation._replace(ended_s=time.monotonic() if ended else _NEVER, where=self._where)
        self.operations.append(operation)
        if not ended:
            self._registers.pause()

    def _ask(self, call: Any, request: Any) -> Any:
        """None: the outcome is not known."""
        try:
            return call(request, timeout=_CALL_TIMEOUT_S)
        except grpc.RpcError:
            return None

    def _read(self, key: int) -> None:
        began_s = time.monotonic()
        answer = self._ask(self._range, pb.RangeRequest(key=self._registers.key(key)))
        saw = _value(answer.kvs) if answer is not None else None
        self._note(Operation(key, READ, began_s, 0, saw=saw), answer is not None)
        if answer is not None:
            self._known[key] = saw

    def _write(self, key: int) -> None:
        value, began_s = self._new_value(), time.monotonic()
        request = pb.PutRequest(key=self._registers.key(key), value=b"%d" % value)
        answer = self._ask(self._put, request)
        self._note(Operation(key, WRITE, began_s, 0, writes=value), answer is not None)
        self._known[key] = value

    def _compare_and_set(self, key: int) -> None:
        expects = self._known.get(key)
        value = self._new_value()
        name = self._registers.key(key)
        request = pb.TxnRequest()
        if expects is None:
            request.compare.add(key=name, target="VERSION", result="EQUAL", version=0)
        else:
            request.compare.add(key=name, target="VALUE", result="EQUAL", value=b"%d" % expects)
        put = request.success.add().request_put
        put.key, put.value = name, b"%d" % value
        request.failure.add().request_range.key = name
        began_s = time.monotonic()
        answer = self._ask(self._txn, request)
        operation = Operation(key, CAS, began_s, 0, expects=expects, writes=value)
        if answer is None:
            self._note(operation, False)
            return
        saw = None if answer.succeeded else _value(answer.responses[0].response_range.kvs)
        self._note(operation._replace(done=answer.succeeded, saw=saw), True)
        self._known[key] = value if answer.succeeded else saw


def _value(kvs: Any) -> Value:
    return int(kvs[0].value) if kvs else None
