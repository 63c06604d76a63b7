"""Passwords that somebody types: asked for on stdout, read from stdin, and not shown."""

import contextlib
import os
import sys
from collections.abc import Iterator

from etcdz.cli.command_tree import CommandError
from etcdz.cli.ctl.exits import BAD_ARGUMENTS


def login(user: str, password: str, prompt: str) -> tuple[str, str]:
    """(name, password) of what two flags say; a password that neither says is asked for."""
    if not user or password:
        return user, password if user else ""
    name, colon, word = user.partition(":")
    return (name, word) if colon else (user, ask(prompt))


def ask(prompt: str) -> str:
    sys.stdout.write(prompt)
    sys.stdout.flush()
    with _unseen():
        word = read_line()
    sys.stdout.write("\n")
    sys.stdout.flush()
    return word


def ask_twice(user: str) -> str:
    """A new password. raises CommandError: there is none, or the two differ"""
    word = ask(f"Password of {user}: ")
    if not word:
        raise CommandError("empty password", BAD_ARGUMENTS)
    if ask(f"Type password of {user} again for confirmation: ") != word:
        raise CommandError("given passwords are different", BAD_ARGUMENTS)
    return word


def read_word() -> str:
    """The first word of stdin's next line, for scripts."""
    words = read_line().split()
    return words[0] if words else ""


def read_line() -> str:
    return os.fsdecode(sys.stdin.buffer.readline()).rstrip("\r\n")


@contextlib.contextmanager
def _unseen() -> Iterator[None]:
    """A terminal does not show what is typed."""
    if not sys.stdin.isatty():
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
