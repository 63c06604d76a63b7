"""What the lessor hears of the backend: the table of leases when it asks, and every change of it, in order.

Questions are answered at the end of a turn, when all that was applied is written and its changes have been told.
"""

from actors.runtime.link import Links
from etcdz.ipc.messages import LeaseEvents, LeaseHello, LeaseNews, LeaseNewsEnd, LeaseTable
from etcdz.mvcc.mvcc import Mvcc


class LeaseLink:
    """tables   indices from which on the lessor wants the table; each is answered once it is applied
    news     what the lessor gets back when it is applied, behind all that was there to tell
    """

    __slots__ = ("_links", "_mvcc", "news", "tables")

    def __init__(self, links: Links, mvcc: Mvcc) -> None:
        self._links = links
        self._mvcc = mvcc
        self.tables: list[int] = []
        self.news: list[LeaseNews] = []

    def on_hello(self, message: LeaseHello) -> None:
        self.tables.append(message.at_index)

    def on_news(self, message: LeaseNews) -> None:
        self.news.append(message)

    def send_events(self) -> None:
        """What has changed since the last call. Requires: it is committed, and no client has been told of it

        A client that has heard of a change so finds that the lessor has, too.
        """
        state = self._mvcc.state
        self._links.send("lessor", LeaseEvents(state.revision, state.leases.take_events()))
        self._links.flush()

    def end_turn(self, applied_index: int) -> None:
        """Answers what can be answered. Requires: all that is applied is committed, and its events are sent"""
        mvcc, send = self._mvcc, self._links.send
        for asked in self.news:
            if asked.at_index <= applied_index:
                send("lessor", LeaseNewsEnd(asked.number, applied_index))
        self.news = [asked for asked in self.news if asked.at_index > applied_index]
        due = [index for index in self.tables if index <= applied_index]
        if due:
            self.tables = [index for index in self.tables if index > applied_index]
            state = mvcc.state
            send("lessor", LeaseTable(max(due), mvcc.cluster_id, mvcc.member_id, state.revision, state.leases.rows()))
