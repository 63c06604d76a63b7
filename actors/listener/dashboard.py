"""The dashboard (--enable-dashboard): a page that shows in a browser what the monitor shows, and can do nothing.

    /dashboard          the page; all that it needs is in it
    /dashboard/state    what it shows, as JSON: etcdz/monitor/page_state.py; the page asks every two seconds

The page's scripts and styles are those of the file, by their hashes (Content-Security-Policy), and all that it is told
it shows as text. Other sites may neither read the answers nor show the page in a frame: CORS headers are left out here.

Nobody is asked who they are, as for /metrics: the page has names of members and processes, and texts of their errors,
but neither keys nor values. Certificates are asked for as on all of the address.
"""

import base64
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any, Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import NO_SNIFF, Route
from actors.listener.member_looks import MemberLooks
from etcdz import ETCD_VERSION
from etcdz.monitor.page_state import Identity, page_state
from etcdz.monitor.sample import read_sample
from etcdz.monitor.view import History, View

FRESH_S: Final = 0.9
"""An answer is told to all who ask within this time."""
FORGOTTEN_S: Final = 120.0
"""After so long without a question the history is let go of."""
_FILE: Final = Path(__file__).with_name("dashboard.html")
_INLINE: Final = {tag: re.compile(rb"<%b>(.*?)</%b>" % (tag, tag), re.DOTALL) for tag in (b"style", b"script")}
_HEADERS: Final = (
    NO_SNIFF,
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


class Dashboard:
    """Of one listener. The history begins with the first question."""

    def __init__(self, calls: Calls, looks: MemberLooks, name: str) -> None:
        """name: of the member"""
        self._calls = calls
        self._looks = looks
        self._name = name
        self._page: tuple[bytes, bytes] | None = None
        """The file and its policy."""
        self._history: History | None = None
        self._asked_at = 0.0
        self._answer = b""
        self._answered_at = 0.0
        self._waiting: list[Exchange] = []
        self._view: View | None = None
        self._alarms: list[str] | None = None

    def routes(self) -> list[Route]:
        """What is served here."""
        return [Route(b"/dashboard", self._serve_page), Route(b"/dashboard/state", self._serve_state)]

    # ---- the page ----

    def _serve_page(self, exchange: Exchange) -> None:
        if self._page is None:
            page = _FILE.read_bytes()
            self._page = (page, policy_of(page))
        page, policy = self._page
        exchange.common_headers = ()
        headers = (*_HEADERS, (b"content-security-policy", policy))
        exchange.answer(200, page, b"text/html; charset=utf-8", *headers)

    # ---- its state ----

    def _serve_state(self, exchange: Exchange) -> None:
        now = time.monotonic()
        if now - self._answered_at < FRESH_S and self._answer:
            self._tell(exchange)
            return
        self._waiting.append(exchange)
        if len(self._waiting) > 1:
            return
        if self._history is None or now - self._asked_at > FORGOTTEN_S:
            self._history = History()
            self._looks.begin("events", {}, self._recall)
        self._asked_at, self._view, self._alarms = now, None, None
        self._looks.begin("ps", {}, self._take_sample)
        self._calls.begin_health(self, 0, False)

    def _recall(self, ok: bool, result: Any) -> None:
        if ok and self._history is not None:
            self._history.recall(time.monotonic(), result, time.time())

    def _take_sample(self, ok: bool, result: Any) -> None:
        assert self._history is not None
        now = time.monotonic()
        self._view = self._history.feed(read_sample(result, now)) if ok else self._history.lost(now, str(result))
        self._answer_all_if_done()

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller, of the read that names the alarms. One that fails says nothing of them."""
        self._alarms = [] if code else body.decode().split()
        self._answer_all_if_done()

    def flush(self) -> None:
        """As Caller: who waits was flushed with its answer."""

    def _answer_all_if_done(self) -> None:
        if self._view is None or self._alarms is None:
            return
        state = page_state(self._view, self._identity(), self._alarms)
        self._answer, self._answered_at = json.dumps(state, separators=(",", ":")).encode(), time.monotonic()
        waiting, self._waiting = self._waiting, []
        for exchange in waiting:
            try:
                self._tell(exchange)
            except Exception as error:
                exchange.fail(error)
            exchange.flush()

    def _tell(self, exchange: Exchange) -> None:
        exchange.common_headers = ()
        exchange.answer(200, self._answer, b"application/json", *_HEADERS)

    def _identity(self) -> Identity:
        known = self._calls.members.known
        members = [(f"{one.id:x}", one.name, one.client_urls, one.is_learner) for _, one in sorted(known.by_id.items())]
        return Identity(
            self._name, f"{known.member_id:x}", f"{known.cluster_id:x}", ETCD_VERSION, known.version or "", members
        )


def policy_of(page: bytes) -> bytes:
    """The Content-Security-Policy under which the page runs what is in it, and nothing else."""
    hashes = {
        tag: b" ".join(
            b"'sha256-%b'" % base64.b64encode(hashlib.sha256(text).digest()) for text in pattern.findall(page)
        )
        for tag, pattern in _INLINE.items()
    }
    return (
        b"default-src 'none'; script-src %b; style-src %b; img-src data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'" % (hashes[b"script"], hashes[b"style"])
    )
