"""What other actors of this member want to know of another member: PeerCall and its answer."""

from typing import Final, Protocol

from actors.peer.exchanges import Answer, Failed
from actors.peer.host import Host as ConnectionsHost
from actors.peer.remote_member import RemoteMember
from actors.runtime.link import Links
from etcdz.ipc.messages import PeerAnswer, PeerCall

CALLS_MAX: Final = 4096
"""Under way at a time."""


class Host(ConnectionsHost, Protocol):
    """What these need of the actor besides."""

    links: Links
    remotes: dict[int, RemoteMember]


class Calls:
    """Those under way are tasks: each tries the member's URLs in order until one can be dialled."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._under_way = 0

    def __len__(self) -> int:
        return self._under_way

    def begin(self, call: PeerCall) -> None:
        remote = self._host.remotes.get(call.to)
        if remote is None:
            self._tell(call, 0, b"no such member")
        elif self._under_way >= CALLS_MAX:
            self._tell(call, 0, b"too many calls to other members")
        else:
            self._under_way += 1
            self._host.start_task(self._run(call, remote))

    async def _run(self, call: PeerCall, remote: RemoteMember) -> None:
        try:
            answer = await self._ask(call, remote)
            self._tell(call, answer.status, answer.body)
        except Failed as error:
            self._tell(call, 0, str(error).encode())
        finally:
            self._under_way -= 1

    async def _ask(self, call: PeerCall, remote: RemoteMember) -> Answer:
        """raises Failed: of the last URL, or of the first at which the request was sent"""
        dialler, loop = self._host.dialler, self._host.event_loop
        deadline, why = loop.time() + call.timeout_s, Failed("no peer URL", was_sent=False)
        for url in remote.urls:
            try:
                return await remote.exchanges.ask(
                    url,
                    lambda authority: dialler.call_request(call.method, call.path, authority, call.body),
                    max(0.0, deadline - loop.time()),
                )
            except Failed as error:
                why = error
                if error.was_sent:
                    break
        raise why

    def _tell(self, call: PeerCall, status: int, body: bytes) -> None:
        self._host.links.send(call.asker, PeerAnswer(call.id, status, body))
        self._host.links.flush()
