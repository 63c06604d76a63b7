"""What is asked of the kernel by prctl is done."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


def test_a_process_gets_the_name_that_ps_shows() -> None:
    script = (
        "from supervisor.processes import linux\n"
        "linux.set_name('etcdz:a-long-name')\n"
        "print(open('/proc/self/comm').read())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "etcdz:a-long-na"


def test_a_process_ends_with_its_parent(subreaper: None) -> None:
    """The parent says the child's number and ends; the child would live for a minute."""
    script = (
        "import os, signal, sys, time\n"
        "from supervisor.processes import linux\n"
        "parent, (ready, tell) = os.getpid(), os.pipe()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    assert linux.die_with_parent(parent, signal.SIGKILL)\n"
        "    os.write(tell, b'1')\n"
        "    time.sleep(60)\n"
        "os.read(ready, 1)\n"
        "print(child, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    _, status = os.waitpid(int(done.stdout), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_a_parent_that_has_ended_already_is_noticed() -> None:
    script = "from supervisor.processes import linux; print(linux.die_with_parent(1 << 22, 9))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
