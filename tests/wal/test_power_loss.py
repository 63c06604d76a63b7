"""Random work on a disk that loses power at random: what was synced is there, and nothing is half there."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etcdz.wal.files import WalFull
from etcdz.wal.log import Log, LogOptions, has_log
from tests.examples import examples
from tests.wal.fake_disk import FakeDisk
from tests.wal.samples import entry, hard_state

SMALL = LogOptions(segment_bytes=4096)
DATA = [b"", b"short", bytes(700), b"long" * 300]


class Model:
    """What is in the log, seen from outside: synced entries and, of what came after, each state that a crash may leave.

    Invariant: states[0] is what was last synced; each later one is one record further.
    """

    def __init__(self) -> None:
        self.states: list[tuple[list[bytes], bytes]] = [([], b"")]

    def append(self, first_index: int, entries: list[bytes], state: bytes) -> None:
        log, last_state = self.states[-1]
        for offset, data in enumerate(entries):
            log = [*log[: first_index - 1 + offset], data]
            self.states.append((log, last_state))
        if state:
            self.states.append((log, state))

    def sync(self) -> None:
        del self.states[:-1]

    def go_back(self) -> None:
        del self.states[1:]

    @property
    def last_index(self) -> int:
        return len(self.states[-1][0])


def check_after_crash(disk: FakeDisk, model: Model) -> Log:
    log, recovered = Log.open(disk, "/data/wal", options=SMALL)
    found = (log.read_entries(1), recovered.hard_state)
    assert found in model.states, "after a crash the log is what was synced, and a prefix of what came after"
    model.states = [found]
    return log


def append_some(log: Log, model: Model, random: Random, term: int) -> None:
    count = random.choice([0, 1, 2, 3, 20])
    back = random.choice([0, 0, 0, 1, 5])
    first = max(1, model.last_index + 1 - back)
    made = [entry(first + i, term, random.choice(DATA)) for i in range(count)]
    # What is committed is never rewritten.
    state = hard_state(term, commit=0) if random.random() < 0.5 else b""
    log.append(made, first, state or None)
    model.append(first, made, state)


def play(seed: int, steps: int) -> None:
    random = Random(seed)
    disk = FakeDisk()
    disk.make_directory("/data")
    disk.sync_directory("/")
    log, model = Log.create(disk, "/data/wal", b"meta", SMALL), Model()
    for term in range(1, steps):
        step = random.choice(["append"] * 4 + ["sync"] * 4 + ["crash", "crash while syncing", "full", "reopen"])
        if step == "append":
            append_some(log, model, random, term)
        elif step == "sync":
            log.sync()
            model.sync()
        elif step == "full":
            disk.free_bytes = random.choice([0, 600, 5000])
            append_some(log, model, random, term)
            try:
                log.sync()
                model.sync()
            except WalFull:
                model.go_back()
            disk.free_bytes = 1 << 40
        elif step == "reopen":
            log.close()
            model.go_back()
            log = check_after_crash(disk, model)
        else:
            if step == "crash while syncing":
                unsynced_write(log)
            disk = disk.crash(random)
            log = check_after_crash(disk, model)
        assert log.last_index == model.last_index
    assert log.read_entries(1) == model.states[0][0]


def unsynced_write(log: Log) -> None:
    """The power goes after the write, before its fdatasync is done: how much of it is on the disk is open."""
    pending = b"".join(log._pending)
    log._segments[-1].file.write(log._offset, pending)


@settings(max_examples=examples(400), deadline=None)
@example(198407836, 23)  # a head whose length lies in the sector that is lost
@given(st.integers(0, 2**32), st.integers(2, 40))
def test_every_synced_entry_survives_and_nothing_is_half_there(seed: int, steps: int) -> None:
    play(seed, steps)


@given(st.integers(0, 2**32))
def test_a_crash_while_a_log_is_created_leaves_a_whole_one_or_none(seed: int) -> None:
    random = Random(seed)
    disk = FakeDisk()
    disk.make_directory("/data")
    disk.sync_directory("/")
    stopped = _StoppingDisk(disk, random.randint(0, 20))
    try:
        Log.create(stopped, "/data/wal", b"meta", SMALL)
        is_done = True
    except _PowerLoss:
        is_done = False
    after = disk.crash(random)
    if is_done or has_log(after, "/data/wal"):
        log, recovered = Log.open(after, "/data/wal", options=SMALL)
        assert (recovered.metadata, log.last_index) == (b"meta", 0)
    else:
        Log.create(after, "/data/wal", b"meta", SMALL)


@given(st.integers(0, 2**32))
def test_a_crash_while_a_segment_is_cut_loses_nothing(seed: int) -> None:
    random = Random(seed)
    disk = FakeDisk()
    disk.make_directory("/data")
    disk.sync_directory("/")
    stopping = _StoppingDisk(disk, 1 << 40)
    log = Log.create(stopping, "/data/wal", b"meta", SMALL)
    synced: list[bytes] = []
    try:
        for index in range(1, 30):
            stopping.calls_left = random.randint(0, 12) if index > 10 and random.random() < 0.2 else 1 << 40
            log.append([entry(index, 1, bytes(700))], index, hard_state(commit=index - 1))
            log.sync()
            synced.append(entry(index, 1, bytes(700)))
    except _PowerLoss:
        pass
    log, recovered = Log.open(disk.crash(random), "/data/wal", options=SMALL)
    assert log.read_entries(1)[: len(synced)] == synced
    assert recovered.last_index <= len(synced) + 1


@given(st.integers(0, 2**32))
def test_what_a_killed_process_had_not_synced_is_durable_once_it_is_read_back(seed: int) -> None:
    """First the process ends between a write and its sync, then, after the next has read the log, the power goes."""
    random = Random(seed)
    disk = FakeDisk()
    disk.make_directory("/data")
    disk.sync_directory("/")
    stopping = _StoppingDisk(disk, 1 << 40)
    log = Log.create(stopping, "/data/wal", b"meta", SMALL)
    try:
        for index in range(1, 30):
            stopping.calls_left = random.randint(0, 8) if index > 3 and random.random() < 0.2 else 1 << 40
            log.append([entry(index, 1, bytes(700))], index, hard_state(commit=index - 1))
            log.sync()
    except _PowerLoss:
        pass
    stopping.calls_left = 1 << 40
    log.close()
    read, recovered = Log.open(disk, "/data/wal", options=SMALL)
    seen = (read.read_entries(1), recovered.hard_state)
    again, recovered = Log.open(disk.crash(random), "/data/wal", options=SMALL)
    assert (again.read_entries(1), recovered.hard_state) == seen


@pytest.mark.parametrize(
    "size", [20, pytest.param(300, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("calls", [1, *[pytest.param(calls, marks=pytest.mark.slow) for calls in (2, 3, 4)]])
def test_a_process_killed_between_two_steps_of_a_large_sync_leaves_a_torn_end(
    monkeypatch: pytest.MonkeyPatch, size: int, calls: int
) -> None:
    """What it had not reported may be there or not; the log is no damaged one for that, power loss or not."""
    monkeypatch.setattr("etcdz.wal.log.SYNC_BYTES_MAX", 8 << 10)
    disk = FakeDisk()
    disk.make_directory("/data")
    disk.sync_directory("/")
    stopping = _StoppingDisk(disk, 1 << 40)
    log = Log.create(stopping, "/data/wal", b"meta")
    log.append([entry(1, 1, b"one")], 1, hard_state(commit=1))
    log.sync()
    log.append([entry(index, 1, b"x" * size) for index in range(2, 2 + 24_000 // size)], 2)
    stopping.calls_left = calls
    with pytest.raises(_PowerLoss):
        log.sync()
    stopping.calls_left = 1 << 40
    log.close()
    for left in (disk.crash(Random(size)), disk):
        _, recovered = Log.open(left, "/data/wal")
        assert recovered.first_index == 1


class _PowerLoss(Exception):
    pass


class _StoppingDisk:
    """A disk, and files of it, that do so many calls and no more."""

    def __init__(self, disk: FakeDisk, calls_left: int) -> None:
        self._disk = disk
        self.calls_left = calls_left

    def __getattr__(self, name: str):
        return self._guarded(getattr(self._disk, name))

    def _guarded(self, call):
        def guarded(*args, **kwargs):
            if self.calls_left <= 0:
                raise _PowerLoss
            self.calls_left -= 1
            result = call(*args, **kwargs)
            return _StoppingFile(self, result) if hasattr(result, "preallocate") else result

        return guarded


class _StoppingFile:
    def __init__(self, disk: _StoppingDisk, file) -> None:
        self.__dict__.update(_stopping=disk, _file=file, path=file.path)

    def __getattr__(self, name: str):
        return self._stopping._guarded(getattr(self._file, name))
