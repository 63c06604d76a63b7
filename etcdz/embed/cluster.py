"""Several embedded members that are one cluster."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from etcdz.embed import ports
from etcdz.embed.entered import Entered
from etcdz.embed.member import READY_S, STOP_S, Member

_HASTE_S: Final = 0.25
"""Long enough for a second signal to be taken for one."""


class Cluster(Entered):
    """A context manager as Member is; iterates over its members. They are called m0, m1, ...

    size        how many members found it
    data_dir    each member has a directory of its own in there, which stays; None: temporary ones
    programs    what each is run by, None for etcdz; so etcd's own members can be among them
    settings    of each of them, as of Member
    """

    def __init__(
        self,
        size: int = 3,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        programs: Sequence[str | None] = (),
        **settings: Any,
    ) -> None:
        self._is_temporary = data_dir is None
        if size < 1:
            raise ValueError("a cluster has one member at least")
        names = [f"m{number}" for number in range(size)]
        with ExitStack() as undo:
            held = [undo.enter_context(ports.hold()) for _ in names]
            peers = {name: f"http://127.0.0.1:{ports.port_of(each)}" for name, each in zip(names, held, strict=True)}
            given = {"initial_cluster": peers, "initial_cluster_token": secrets.token_hex(8), **settings}
            self.members: dict[str, Member] = {}
            for name, program in zip(names, [*programs, *[None] * size], strict=False):
                directory = None if data_dir is None else Path(data_dir) / name
                made = Member(data_dir=directory, name=name, listen_peer=peers[name], program=program, **given)
                self.members[name] = made
                undo.callback(made.close)
            self._undo = undo.pop_all()

    def start(self, timeout_s: float = READY_S) -> Self:
        """All of them at once: none serves before most are there. raises as Member.start"""
        try:
            for member in self:
                member.launch()
            for member in self:
                member.ready(timeout_s)
        except BaseException:
            self._of_all(Member.kill)
            raise
        return self

    def stop(self) -> None:
        self._of_all(Member.stop)

    def close(self) -> None:
        """Stops all, and removes temporary data, which no member needs to leave in good order."""
        self._of_all(lambda member: member.stop(_HASTE_S if self._is_temporary else STOP_S))
        self._undo.close()

    @property
    def endpoints(self) -> list[str]:
        """Of all members."""
        return [endpoint for member in self for endpoint in member.endpoints]

    def _of_all(self, act: Callable[[Member], object]) -> None:
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(act, self))

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members.values())

    def __len__(self) -> int:
        return len(self.members)
