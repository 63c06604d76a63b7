"""The fork server: a Python that has already imported what actors need, and becomes one on request.

Starting Python and its imports takes 150-300 ms; a fork takes a few. It stays single-threaded and makes no zmq
context, because neither survives a fork. It is replaced to run new code, and its actors live on without it: they are
children of the supervisor, so that the supervisor gets their exit status and the kernel ends them with it.

    supervisor -> zygote   [name, incarnation, module, Caps, Boot], and file descriptors for the actor
    zygote -> supervisor   ["up", modules that failed to import: {name: error}]   once
                           ["spawned", name, incarnation, pid], or ["failed", name, incarnation, error]

One SEQPACKET message each, packed by msgpack.
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
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from etcdz.ipc.boot import STACK_SIGNAL, Boot, stack_path
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


def main(argv: Sequence[str]) -> int:
    """argv: file descriptor of the socket to the supervisor, pid of the supervisor, modules of the actors."""
    channel = socket.socket(fileno=int(argv[0]))
    supervisor = int(argv[1])
    if not linux.die_with_parent(supervisor, signal.SIGKILL):
        return 1
    linux.set_name("etcdz:zygote")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides, not who sends ^C to everybody
    failed = preimport([*LIBRARIES, *argv[2:]])
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"an import has started {threads - 1} threads: a zygote must have none")
    gc.collect()
    gc.freeze()  # keeps the collector from writing to pages that are shared with the actors
    channel.send(msgpack.packb(["up", failed]))
    while True:
        body, fds, flags, _ = socket.recv_fds(channel, MESSAGE_BYTES_MAX, FDS_MAX)
        if not body:
            return 0
        request = msgpack.unpackb(body, strict_map_key=False)
        if flags & socket.MSG_CTRUNC:
            channel.send(msgpack.packb(["failed", *request[:2], "too many open files for the sockets it needs"]))
        else:
            fork_actor(channel, supervisor, request, fds)
        for fd in fds:
            os.close(fd)


def preimport(modules: Sequence[str]) -> dict[str, str]:
    """return what could not be imported, with the error."""
    failed = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # the code of an actor: its own process will say it again, with a traceback
            failed[module] = f"{type(error).__name__}: {error}"
    return failed


def fork_actor(channel: socket.socket, supervisor: int, request: list[Any], fds: Sequence[int]) -> None:
    """Fork twice: the process in between ends at once, and the supervisor, as subreaper, becomes the actor's parent."""
    name, incarnation, module, caps, boot = request
    try:
        between = os.fork()
    except OSError as error:
        channel.send(msgpack.packb(["failed", name, incarnation, str(error)]))
        return
    if between:
        os.waitpid(between, 0)
        return
    between = os.getpid()
    try:
        reported, report = os.pipe()
        actor = os.fork()
    except OSError as error:
        channel.send(msgpack.packb(["failed", name, incarnation, str(error)]))
        os._exit(1)
    if actor:
        # Reported before it runs, so that no actor can run, or end and be reaped, without the supervisor's knowing it.
        channel.send(msgpack.packb(["spawned", name, incarnation, actor]))
        os.write(report, b"1")
        os._exit(0)
    channel.close()
    os.close(report)
    if not os.read(reported, 1):
        os._exit(1)
    os.close(reported)
    os._exit(become_actor(supervisor, between, module, Caps(*caps), boot, fds))


def become_actor(supervisor: int, between: int, module: str, caps: Caps, fields: Any, fds: Sequence[int]) -> int:
    """Everything that a new actor does; return its exit status, which the caller exits with.

    NB: it exits by os._exit, since the interpreter's own end takes long: run() has to close what it opened.
    """
    try:
        boot = Boot._make(fields)._replace(roster=[tuple(child) for child in fields[7]], fds=fds)
        if not _adopted(supervisor, between):
            return 1
        linux.set_name(f"etcdz:{boot.name}")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        cap(caps)
        tell_stacks(boot)
        status = importlib.import_module(module).run(boot)
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
    """Hold this process to what its row says."""
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
    """Wait until the supervisor is our parent, and bind our life to its. return False if it has died."""
    while (parent := os.getppid()) == between:
        time.sleep(0.0001)
    return parent == supervisor and linux.die_with_parent(supervisor, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
