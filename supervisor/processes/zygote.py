"""The fork server: a Python that has already imported what actors need, and becomes one on request.

Starting Python and its imports takes 150-300 ms; a fork takes a few. It stays single-threaded and makes no zmq
context, because neither survives a fork. It is replaced to run new code, and its actors live on without it: they are
children of the supervisor, so that the supervisor gets their exit status and the kernel ends them with it.

    supervisor -> zygote   SpawnRequest, and file descriptors for the actor
    zygote -> supervisor   Up once, then Spawned or Failed for each request

One SEQPACKET message each: a msgpack array [type name, {field name: value}]. After an upgrade the zygote runs newer
code than the supervisor, so the same rules hold as for etcdz/ipc/messages.py: fields are only added, at the end and
with a default; a receiver drops what it does not know. `PROTOCOL` is what Up says of this version of the code.
"""

import faulthandler
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from etcdz.ipc import compatibility
from etcdz.ipc.boot import STACK_SIGNAL, Boot, boot_from, stack_path
from etcdz.ipc.messages import MESSAGES
from supervisor.processes import linux

LIBRARIES: Final = (
    "zmq",
    "msgpack",
    "google.protobuf.message",
    "plyvel",
    "uvloop",
    "etcdz.ipc.messages",
    "etcdz.proto",
)
"""Imported beside the actors' modules; one that is missing is left to the actor that needs it."""
MESSAGE_BYTES_MAX: Final = 1 << 17
"""Below what a unix socket takes at once by default."""
FDS_MAX: Final = 250
"""Linux passes up to 253 at once."""


class Caps(NamedTuple):
    """What the kernel holds a process to. memory_max_bytes: RLIMIT_DATA, None for no limit of ours."""

    nice: int = 0
    memory_max_bytes: int | None = None


class SpawnRequest(NamedTuple):
    """Make a process that runs `module`. caps: fields of Caps; boot: fields of Boot, whose fds come beside it."""

    name: str
    incarnation: int
    module: str
    caps: dict[str, Any]
    boot: dict[str, Any]


class Up(NamedTuple):
    """The zygote can fork. failed: modules that could not be imported, with the error. protocol: PROTOCOL"""

    failed: dict[str, str]
    protocol: dict[str, Any]


class Spawned(NamedTuple):
    """An actor's process exists."""

    name: str
    incarnation: int
    pid: int


class Failed(NamedTuple):
    """An actor's process does not exist and will not."""

    name: str
    incarnation: int
    reason: str


Report = Up | Spawned | Failed
_TYPES: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in (SpawnRequest, Up, Spawned, Failed)}

PROTOCOL: Final = compatibility.describe(
    {**compatibility.message_places(MESSAGES), **_TYPES, "Boot": Boot, "Caps": Caps},
)


def pack(message: NamedTuple) -> bytes:
    """A message of the channel. Paths in it are whatever bytes the user has given them, UTF-8 or not."""
    return msgpack.packb(  # type: ignore[no-any-return]
        [type(message).__name__, message._asdict()], unicode_errors="surrogateescape"
    )


def unpack(packet: bytes) -> Any:
    """A message of the channel, sent by this or another version. raises ValueError, TypeError: it is none"""
    name, fields = msgpack.unpackb(packet, strict_map_key=False, unicode_errors="surrogateescape")
    if name not in _TYPES:
        raise ValueError(f"no message of the zygote's channel: {name!r}")
    return _known(_TYPES[name], fields)


def _known(kind: type[Any], fields: Mapping[str, Any]) -> Any:
    return kind(**{name: value for name, value in fields.items() if name in kind._fields})


def main(argv: Sequence[str]) -> int:
    """argv: file descriptor of the socket to the supervisor, pid of the supervisor, modules of the actors."""
    channel, supervisor = socket.socket(fileno=int(argv[0])), int(argv[1])
    failed = become_zygote(supervisor, argv[2:])
    if failed is None:
        return 1
    serve(channel, supervisor, failed)
    return 0


def become_zygote(supervisor: int, modules: Sequence[str]) -> dict[str, str] | None:
    """Make this process one that can fork actors. modules: of the actors

    return  modules that could not be imported, with the error; None: the supervisor has died
    raises  RuntimeError: it has threads
    """
    if not linux.die_with_parent(supervisor, signal.SIGKILL):
        return None
    linux.set_name("etcdz:zygote")
    for signum in (signal.SIGINT, signal.SIGQUIT):  # sent to all of a member: the supervisor orders the end
        signal.signal(signum, signal.SIG_IGN)
    failed = preimport([*LIBRARIES, *modules])
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"an import has started {threads - 1} threads: a zygote must have none")
    gc.collect()
    share_pages()
    return failed


def share_pages() -> None:
    """From now on this process and those that it forks write to as few pages as can be of those that they share."""
    gc.freeze()  # the collector would write to every object
    linux.trim_heap()
    linux.fill_heap_gaps()
    if sys.version_info < (3, 12):  # where names of attributes are counted as well
        sys._clear_type_cache()  # else each first look-up of a name uncounts the one that has its place


def serve(channel: socket.socket, supervisor: int, failed: dict[str, str]) -> None:
    """Fork what is asked for, until the supervisor has let go of the channel. failed: as of become_zygote"""
    channel.send(pack(Up(failed, PROTOCOL)))
    while True:
        body, fds, flags, _ = socket.recv_fds(channel, MESSAGE_BYTES_MAX, FDS_MAX)
        if not body:
            return
        request: SpawnRequest = unpack(body)
        if flags & socket.MSG_CTRUNC:
            why = "too many open files for the sockets it needs"
            channel.send(pack(Failed(request.name, request.incarnation, why)))
        else:
            fork_actor(channel, supervisor, request, fds)
        for fd in fds:
            os.close(fd)


def preimport(modules: Sequence[str]) -> dict[str, str]:
    """Import modules. return those that could not be imported, with the error."""
    failed = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # the code of an actor: its own process will say it again, with a traceback
            failed[module] = f"{type(error).__name__}: {error}"
    return failed


def fork_actor(channel: socket.socket, supervisor: int, request: SpawnRequest, fds: Sequence[int]) -> None:
    """Fork twice: the process in between ends at once, and the supervisor, as subreaper, becomes the actor's parent."""
    name, incarnation = request.name, request.incarnation
    try:
        between = os.fork()
    except OSError as error:
        channel.send(pack(Failed(name, incarnation, str(error))))
        return
    if between:
        os.waitpid(between, 0)
        return
    between = os.getpid()
    try:
        reported, report = os.pipe()
        actor = os.fork()
    except OSError as error:
        channel.send(pack(Failed(name, incarnation, str(error))))
        os._exit(1)
    if actor:
        # Reported before it runs, so that no actor can run, or end and be reaped, without the supervisor's knowing it.
        channel.send(pack(Spawned(name, incarnation, actor)))
        os.write(report, b"1")
        os._exit(0)
    channel.close()
    os.close(report)
    if not os.read(reported, 1):
        os._exit(1)
    os.close(reported)
    os._exit(become_actor(supervisor, between, request, fds))


def become_actor(supervisor: int, between: int, request: SpawnRequest, fds: Sequence[int]) -> int:
    """Everything that a new actor does; return its exit status, which the caller exits with.

    NB: it exits by os._exit, since the interpreter's own end takes long: run() has to close what it opened.
    """
    try:
        boot = boot_from(request.boot, fds)
        if not _adopted(supervisor, between):
            return 1
        linux.set_name(f"etcdz:{boot.name}")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        cap(_known(Caps, request.caps))
        tell_stacks(boot)
        status = importlib.import_module(request.module).run(boot)
        return int(status or 0)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def cap(caps: Caps) -> None:
    """Hold this process to what its child spec says."""
    if caps.nice:
        os.nice(caps.nice)
    if caps.memory_max_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (caps.memory_max_bytes, caps.memory_max_bytes))


def tell_stacks(boot: Boot) -> None:
    """From now on STACK_SIGNAL makes this process write down where its threads are, also if it hangs in C code."""
    # NB: open for as long as the process lives.
    file = open(stack_path(boot.endpoint), "w")  # noqa: SIM115
    faulthandler.enable(file=file, all_threads=True)  # SIGSEGV and its like: what a crash report shows
    faulthandler.register(STACK_SIGNAL, file=file, all_threads=True)


def _adopted(supervisor: int, between: int) -> bool:
    """Wait until the supervisor is our parent, and have the kernel end us with it. return False if it has died."""
    while (parent := os.getppid()) == between:
        time.sleep(0.0001)
    return parent == supervisor and linux.die_with_parent(supervisor, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
