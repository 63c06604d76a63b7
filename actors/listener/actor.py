"""The listener actor: client connections, calls that wait for their answer.

One event loop (uvloop) holds the connections; the mailbox is one more file descriptor in it. Calls are decoded and
checked here, and leave undecoded: all that arrived in one turn of the event loop goes out as one frame per destination.
A call stays in `calls` until its answer comes, so that it can be offered again to a new incarnation of raft or backend.

The sockets that listen are the supervisor's; it says from which of them to accept (`Listen`). A listener that leaves
stops accepting, sends GOAWAY and finishes: what waits in the sockets' queues is accepted by the others.
"""

import asyncio
import math
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from actors.listener.acceptor import Acceptor
from actors.listener.auth_news import AuthNews
from actors.listener.calls import Calls
from actors.listener.client_affinity import ClientAffinity
from actors.listener.connection import Connection, Remote
from actors.listener.debug_endpoints import DebugEndpoints
from actors.listener.gateway import Gateway
from actors.listener.handshakes import Handshakes
from actors.listener.health_watch import HealthWatch
from actors.listener.http1_exchanges import Http1Exchanges
from actors.listener.http2_exchanges import Http2Exchanges
from actors.listener.http_access import HttpAccess
from actors.listener.http_endpoints import HttpEndpoints
from actors.listener.http_router import Router
from actors.listener.member_looks import MemberLooks
from actors.listener.ports import Offer, Port, ports_of
from actors.listener.recipes import Recipes
from actors.listener.scrapes import Scrapes
from actors.listener.snapshots import Snapshots
from actors.listener.spokesman import Spokesman
from actors.listener.streams import Streams
from actors.listener.tracing import ConnectionTracer, Tracing
from actors.listener.v2_auth import V2Auth
from actors.listener.v2_info import V2Info
from actors.listener.v2_keys import V2Keys
from actors.listener.v2_members import V2Members
from actors.listener.v2_statistics import V2Statistics
from actors.listener.v2_tally import V2Tally
from actors.listener.v2_watches import V2Watches
from actors.listener.watching import Watching
from actors.runtime.link import Peer
from actors.runtime.loop import Actor, run_actor
from etcdz import limits
from etcdz.api.methods import AUTH_PATHS, HEALTH_WATCH, LEASE_KEEP_ALIVE, PATHS, SNAPSHOT, STREAM_PATHS, WAITING, WATCH
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    AppendFigures,
    AuthHeard,
    AuthState,
    AuthTokens,
    Leadership,
    LeaseAnswers,
    Listen,
    LongReads,
    Looked,
    Members,
    Metrics,
    PeerAnswer,
    PeerAsk,
    PeerState,
    QuotaHeadroom,
    ReadStates,
    Refused,
    Replies,
    ReplyPart,
    Stop,
    V2Events,
    V2Guard,
    WatchChanges,
    WatchChunk,
    WatchPosition,
)
from etcdz.telemetry.call_figures import call_figures
from etcdz.tls.files import TlsFiles
from etcdz.wire.answer_heads import AnswerHeads
from etcdz.wire.call_tally import CallTally
from etcdz.wire.call_times import CallTimes
from etcdz.wire.keepalive import rules_of_flags
from etcdz.wire.known_heads import KnownHeads
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.timed_server import TimedServerConnection
from etcdz.wire.traced_server import TracedServerConnection
from etcdz.wire.unfinished import UnfinishedRequests

TIMER_S = 0.1
"""How often calls, streams and deadlines are checked for what is overdue."""
IDLE_TIMER_S = 0.5
"""The same while there is nothing that could become overdue, until a client sends something. A timer of TIMER_S alone
would cost more than all else that an idle listener does."""
TOKENS_USED_S_MAX = 10.0
"""The backend hears of tokens that were used at least so often, and more often where they live shortly."""
KEEPALIVE_CHECK_S_MAX = 2.0
"""Silent clients are looked for at least so often, and more often where their timeout is short."""
CLIENTS_SHOWN = 100
"""Addresses of clients that `details` names."""
FRESH_S = 0.5
"""A listener that ends waits so long for the first bytes of a client that has just connected: they are on their way."""

WEBSOCKETS = (b"/v3/", b"/v3beta/")
"""Paths that are served over WebSocket, too."""
CORK_BYTES = 256 << 10
"""Of one client's large answers that are written before the others have their turn."""

_NOT_READY, _ASKING, _READY = range(3)


class _Probe:
    """The caller of the listener's own first reads. on_reply: is told whether the backend has answered"""

    def __init__(self, on_reply: Callable[[bool], None]) -> None:
        self._on_reply = on_reply

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self._on_reply(code == 0)

    def flush(self) -> None:
        pass


class ListenerActor(Actor):
    """Serves the client URLs beside the other listeners.

    idles       whether the timer runs with IDLE_TIMER_S, until wake()
    knows_users whether it has been told of users and roles, by a backend that had applied what was committed: nobody is
                let in before, for who may do what is not known. Clients wait in the sockets' queues
    is_known    whether the cluster has heard of this member; before that no clients are served
    readiness   ready once the backend has applied what makes this member known to the cluster
    """

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.event_loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.event_loop)
        self.config = MemberConfig.from_dict(boot.config)
        self.addresses = [address for address, _ in boot.listen_sockets]
        config = self.config
        self.ports = ports_of(
            self.addresses, config.listen_client_urls, config.listen_client_http_urls, config.listen_metrics_urls
        )
        self.file_log = Spokesman(self.log, boot.name, lambda: [peer.name for peer in self.links.of_kind("listener")])
        self.handshakes: Handshakes | None = None
        """None: no address has TLS."""
        if any(port.is_secure for port in self.ports):
            self.handshakes = self._new_handshakes()
            self.handshakes.files.look_hourly(self.event_loop.call_later)
        self.acceptor = Acceptor(
            self.event_loop,
            boot.listen_sockets,
            boot.fds,
            [self._new_connections(port) for port in self.ports],
            on_error=self.fail,
            on_accepting=self._announce,
        )
        # Until others know this member: its first clients wait, as etcd's do. Who monitors it does not.
        self.acceptor.hold("unknown", [number for number, port in enumerate(self.ports) if not port.plain.metrics_only])
        self.connections: set[Connection] = set()
        self.unfinished = UnfinishedRequests(limits.UNFINISHED_BYTES_MAX)
        self.tally = CallTally(CallTimes() if config.metrics == "extensive" else None)
        self.connection_errors = 0
        self.tracing = Tracing(self, config) if config.tracing else None
        self.auth_news = AuthNews()
        self.calls = Calls(self, self.config)
        self.identities = self.calls.identities
        self.streams = Streams(3 * self.config.election_ms / 1000, self.tally)
        self.streams.services[LEASE_KEEP_ALIVE] = self.calls.keep_alives.serve
        self.streams.singles[LEASE_KEEP_ALIVE] = self.calls.keep_alives.serve_single
        self.snapshots = Snapshots(self, Path(self.config.snap_dir) / "leveldb", self.calls.gate)
        self.streams.services[SNAPSHOT] = self.snapshots
        self.watching = Watching(self, self.config)
        self.scrapes = Scrapes(self.links, boot.incarnation)
        self.endpoints = HttpEndpoints(self.calls, self.scrapes)
        self.looks = MemberLooks(self.links, boot.incarnation)
        serves_pprof = config.enable_pprof or config.log_level == "debug"
        routes = self.endpoints.routes() + DebugEndpoints(self.calls, self.looks, serves_pprof).routes()
        self.v2_watches = V2Watches(self.links, boot.slot)
        self.v2_tally = V2Tally()
        self.v2_auth = V2Auth(self.calls, self.log)
        self.v2_statistics = V2Statistics(self.calls, self.links, boot)
        if config.enable_v2:
            routes += V2Keys(self.calls, self.v2_watches, self.v2_auth, self.v2_tally).routes()
            routes += self.v2_auth.routes()
            routes += V2Info(self.calls).routes() + self.v2_statistics.routes()
            routes += V2Members(self.calls, self.v2_auth).routes()
        if config.enable_grpc_gateway:
            routes += Gateway(self, config).routes()
        access = HttpAccess(config.cors, config.host_whitelist, self.log)
        monitoring = [route for route in routes if route.monitors]
        if config.enable_dashboard:
            from actors.listener.dashboard import Dashboard  # and etcdz.monitor, which few members need

            (monitoring if config.listen_metrics_urls else routes).extend(
                Dashboard(self.calls, self.looks, config.name).routes()
            )
        self.router = Router(routes, access, WEBSOCKETS, limits.body_bytes_max(config.max_request_bytes))
        self.metrics_router = Router(monitoring)
        self.answer_heads = AnswerHeads()
        self.heads = KnownHeads(self.router.takes_pieces)
        self.metrics_heads = KnownHeads(self.metrics_router.takes_pieces)
        self.streams.services[HEALTH_WATCH] = HealthWatch
        self.streams.services[WATCH] = self.watching.open
        self.streams.services |= Recipes(self, self.config.max_request_bytes).services()
        self.handlers |= {
            Replies: self.calls.on_replies,
            LongReads: self.calls.on_long_reads,
            ReplyPart: self.calls.on_reply_part,
            Refused: self.calls.on_refused,
            ReadStates: self.calls.on_read_states,
            Leadership: self.on_leadership,
            LeaseAnswers: self.calls.on_lease_answers,
            Members: self.on_members,
            PeerState: self.calls.members.on_peer_state,
            PeerAnswer: self.calls.on_peer_answer,
            PeerAsk: self.calls.peer_requests.on_ask,
            QuotaHeadroom: self.calls.on_quota_headroom,
            WatchPosition: self.watching.on_position,
            WatchChanges: self.watching.on_changes,
            WatchChunk: self.watching.on_chunk,
            V2Events: self.v2_watches.on_events,
            V2Guard: self.on_v2_guard,
            AppendFigures: self.v2_statistics.on_figures,
            Listen: self.on_listen,
            Metrics: self.scrapes.on_metrics,
            Looked: self.looks.on_looked,
            AuthState: self.on_auth_state,
            AuthTokens: self.on_auth_tokens,
        }
        self.methods = {path: Method(path, True, tag) for path, tag in (PATHS | AUTH_PATHS).items()}
        singles = self.streams.singles
        self.methods |= {
            path: Method(path, False, tag, single=tag in singles, streams=tag not in WAITING)
            for path, tag in STREAM_PATHS.items()
        }
        keepalive = rules_of_flags(
            config.grpc_keepalive_min_time_s, config.grpc_keepalive_interval_s, config.grpc_keepalive_timeout_s
        )
        self.settings = ServerSettings(
            message_bytes_max=self.config.max_request_bytes + limits.RECEIVE_OVERHEAD_BYTES,
            max_concurrent_streams=self.config.max_concurrent_streams,
            cork_bytes=CORK_BYTES,
            keepalive=keepalive,
            body_bytes_max=limits.body_bytes_max(self.config.max_request_bytes),
        )
        self.keepalive_every_s = min(KEEPALIVE_CHECK_S_MAX, keepalive.timeout_s / 10)
        self.next_keepalive = 0.0
        self.tokens_used_every_s = min(TOKENS_USED_S_MAX, self.config.auth_token_ttl_s / 8)
        self.next_tokens_used = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.idles = False
        progress_s = self.config.watch_progress_notify_s
        self.may_idle = self.keepalive_every_s > IDLE_TIMER_S and (progress_s <= 0 or progress_s > 10 * IDLE_TIMER_S)
        self.flush_due = False
        self.stop_deadline_s = 2.0
        self.knows_users = self.asks_for_users = self.is_known = False
        self.known_commit: int | None = None
        """What raft knew to be committed when it was first heard of."""
        self.sockets: list[int] = []
        """From which to accept, as the supervisor has said last."""
        self.readiness = _NOT_READY
        self.ready_index = 0
        self.announced = False
        self.left_loop = False
        self.is_drained = False
        """The supervisor has this listener accept from no socket."""
        self.busy = False
        """Whether the supervisor knows that many calls are under way."""
        self.affinity = ClientAffinity()
        self.failure: Exception | None = None

    # ---- start ----

    def on_start(self) -> dict[str, Any]:
        return {"addresses": self.addresses}

    # ---- connections ----

    def on_connected(self, connection: Connection) -> None:
        """A client has connected."""
        self.connections.add(connection)

    def on_lost(self, connection: Connection) -> None:
        """Its transport is gone, its calls and streams with it."""
        self.connections.discard(connection)
        self.affinity.forget(connection)
        self.streams.lose(connection)
        if connection.open_calls:
            self.calls.lose(connection)
        self.calls.long_reads.forget(connection)

    def on_connection_error(self, connection: Remote, error: Exception) -> None:
        """A connection has ended because something that was done for its client has raised this. The others go on."""
        self.connection_errors += 1
        text = "".join(traceback.format_exception(error))
        self.log.error("a defect ended a connection", remote=connection.remote, error=repr(error), stack=text)

    def new_grpc(self, connection: Connection) -> GrpcServerConnection:
        """The protocol of a client that speaks HTTP/2."""
        settings, offer = self.settings, connection.offer
        if offer.http2:
            takes_pieces = self._router_of(offer).takes_pieces_of
            settings = settings._replace(serves_http=True, serves_grpc=offer.grpc, takes_pieces=takes_pieces)
        tally, clock = self.tally, time.monotonic
        if self.tracing is not None:
            tracer = ConnectionTracer(self.tracing, connection.remote)
            return TracedServerConnection(self.methods, settings, clock, self.unfinished, tally, tracer)
        if tally.times is not None:
            return TimedServerConnection(self.methods, settings, clock, self.unfinished, tally, tally.times)
        return GrpcServerConnection(self.methods, settings, clock, self.unfinished, tally)

    def new_http1(self, connection: Connection) -> Http1Exchanges:
        """The protocol of a client that speaks HTTP/1."""
        offer, body_bytes_max = connection.offer, self.settings.body_bytes_max
        router, heads = self._router_of(offer), self._heads_of(offer)
        return Http1Exchanges(connection, router, body_bytes_max, self.unfinished, heads, self.answer_heads)

    def new_http2(self, connection: Connection) -> Http2Exchanges:
        """What answers requests over HTTP/2 that are not gRPC."""
        return Http2Exchanges(connection, self._router_of(connection.offer))

    def _router_of(self, offer: Offer) -> Router:
        return self.metrics_router if offer.metrics_only else self.router

    def _heads_of(self, offer: Offer) -> KnownHeads:
        return self.metrics_heads if offer.metrics_only else self.heads

    def _new_connections(self, port: Port) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of a connection that is accepted there."""
        if port.is_secure and self.handshakes is not None:
            return partial(self.handshakes.new, port)
        return partial(Connection, self, port.plain)

    def _new_handshakes(self) -> Handshakes:
        secure = [number for number, port in enumerate(self.ports) if port.is_secure]
        settings = self.config.client_tls
        return Handshakes(
            self,
            settings,
            TlsFiles(settings, self.file_log, crl_behind=True),
            self.log,
            self.event_loop,
            hold=lambda full: self.acceptor.hold("handshakes", secure if full else ()),
            is_leaving=lambda: self.is_drained or self.stopping,
        )

    # ---- the loop: uvloop's, not the blocking one ----

    def loop(self) -> None:
        loop = self.event_loop
        datagrams, zmq_ = self.mailbox.descriptors
        loop.add_reader(datagrams, self._on_mailbox)
        loop.add_reader(zmq_, self._on_zmq)
        loop.call_soon(self._on_zmq)  # its descriptor may have become readable already
        self._set_timer(TIMER_S)
        loop.run_forever()
        if self.failure is not None:
            raise self.failure

    def _on_zmq(self) -> None:
        self.mailbox.zmq_spoke()
        self._on_mailbox()

    def _on_mailbox(self) -> None:
        began = time.monotonic_ns()
        try:
            frames = self.drain(began)
            if self.mailbox.pending():
                self.event_loop.call_soon(self._on_mailbox)
            self.calls.end_turn()
            self.streams.flush()
            self.links.flush()
        except Exception as error:
            self.fail(error)
            return
        self.count_turn(frames, time.monotonic_ns() - began)

    @property
    def clients(self) -> int:
        """How many connections there are."""
        return len(self.connections)

    @property
    def under_way(self) -> int:
        """Calls and keep-alives that wait for their answer."""
        return len(self.calls) + len(self.calls.keep_alives)

    def flush_soon(self) -> None:
        """Sends what calls have queued, once all readable connections have been read; a lone call at once."""
        if self.flush_due:
            return
        if self.under_way <= limits.CALLS_BATCHED_FROM:
            try:
                self.calls.end_turn()
                self.links.flush()
            except Exception as error:  # of what all connections share, though one of them has led here
                self.fail(error)
        else:
            self.flush_due = True
            self.event_loop.call_soon(self._flush_calls)

    def _flush_calls(self) -> None:
        self.flush_due = False
        if not self.busy and self.under_way >= limits.BUSY_CALLS:
            self.busy = True
            self.heartbeat_now()
        self.calls.end_turn()
        self.links.flush()

    def _on_timer(self) -> None:
        now = time.monotonic()
        try:
            self.busy = self.under_way >= limits.BUSY_CALLS
            self.calls.expire(now)
            self.streams.expire(now)
            self.watching.on_timer(now)
            self.scrapes.expire(now)
            self.looks.expire(now)
            self._relieve()
            waits = self._expire_deadlines(now)
            if self.handshakes is not None:
                self.handshakes.expire(now)
                if self.file_log.may_speak:  # the others say nothing of what they find
                    self.handshakes.files.refresh()
            if self.streams.cancelled:
                self.calls.cancel(self.streams.cancelled)
            if now >= self.next_keepalive:
                self.next_keepalive = now + self.keepalive_every_s
                self._keep_alive(now)
            if self.auth_news.used and now >= self.next_tokens_used:
                self._tell_of_tokens(now)
            self.calls.end_turn()
            self.streams.flush()
            if self.affinity.on_tick():
                self.heartbeat_now()
            self.heartbeat(now)
            self.links.flush()
        except Exception as error:
            self.fail(error)
            return
        if self.stopping:
            self._leave_loop()
        waits = waits or len(self.calls.long_reads) > 0
        self.idles = self.may_idle and not (waits or self.under_way or self._asks_supervisor) and self.streams.is_calm
        self._set_timer(IDLE_TIMER_S if self.idles else TIMER_S)

    @property
    def _asks_supervisor(self) -> bool:
        return self.scrapes.under_way or self.looks.under_way

    def _set_timer(self, after_s: float) -> None:
        self.timer = self.event_loop.call_later(after_s, self._on_timer)

    def wake(self) -> None:
        """A client has sent something, which may become overdue: the timer runs with TIMER_S again."""
        self.idles = False
        if self.timer is not None:
            self.timer.cancel()
        self._set_timer(TIMER_S)

    def _expire_deadlines(self, now: float) -> bool:
        """Calls whose client's deadline has passed are answered so; what they have caused goes on.

        return  whether any call has a deadline
        """
        return any([connection.expire(now) for connection in self.connections])

    def _relieve(self) -> None:
        """Too much of requests that are not complete is held: those that do not go on are refused."""
        if self.unfinished.total <= self.unfinished.bytes_max:
            return
        overdue = set(self.unfinished.find_overdue())
        for connection in list(self.connections):
            if connection.holder in overdue:
                connection.give_up_unfinished()

    def _keep_alive(self, now: float) -> None:
        """Clients that have been silent for long are sent a PING; those that do not answer it are dead, and so are
        those that have never spoken."""
        for connection in list(self.connections):
            if not connection.has_spoken and now - connection.connected_s > limits.MUTE_S:
                connection.transport.abort()
            else:
                connection.keep_alive(now)

    def _tell_of_tokens(self, now: float) -> None:
        """The backend, whose clock ends the life of tokens, which ones were used here."""
        self.next_tokens_used = now + self.tokens_used_every_s
        used = self.auth_news.take_used()
        if used is not None:
            self.links.send("backend", used)

    def call_soon_from_thread(self, do: Callable[[], None]) -> None:
        """Runs do() in the event loop, called from any thread; an error of it ends the actor."""

        def guarded() -> None:
            try:
                do()
                self.calls.end_turn()
                self.streams.flush()
                self.links.flush()
            except Exception as error:
                self.fail(error)

        self.event_loop.call_soon_threadsafe(guarded)

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        """Runs do() in the event loop after so many seconds; an error of it ends the actor."""

        def guarded() -> None:
            try:
                do()
            except Exception as error:
                self.fail(error)

        self.event_loop.call_later(seconds, guarded)

    def fail(self, error: Exception) -> None:
        """An exception in a callback ends the actor, as it does in every other actor."""
        self.failure = error
        self.event_loop.stop()

    # ---- messages ----

    def on_peer_up(self, peer: Peer) -> None:
        self.calls.on_peer_up(peer)
        if peer.kind == "backend":
            self.watching.on_new_backend()
        self.v2_watches.on_peer_up(peer)
        self.v2_statistics.on_peer_up(peer)
        self.calls.share(1 + len(self.links.of_kind("listener")))

    def on_peer_down(self, peer: Peer) -> None:
        self.calls.on_peer_down(peer)
        if peer.kind == "backend":
            self.v2_auth.on_backend_gone()
        self.calls.share(1 + len(self.links.of_kind("listener")))

    def on_listen(self, listen: Listen) -> None:
        """Accept from these sockets only, and send a share of the clients elsewhere. What waits in the queue of a
        socket is not lost: the socket belongs to all listeners."""
        self.sockets = listen.sockets
        if self.knows_users:
            self.acceptor.accept_from(listen.sockets)
        self.is_drained = not listen.sockets
        if listen.drain_share > 0:
            staying = [connection for connection in self.connections if not connection.leaving]
            for connection in staying[: math.ceil(len(staying) * listen.drain_share)]:
                connection.drain()

    def on_members(self, message: Members) -> None:
        """Who the members are, and whether this one is a learner."""
        self.calls.on_members(message)
        self.streams.serve_as(self.calls.members.known.is_learner)
        if not self.is_known:
            self._look_whether_it_is_known()

    def _look_whether_it_is_known(self) -> None:
        """Clients are served from then on when the cluster has heard of this member's URLs: of one that was started
        before, or whose listener was, it has."""
        known = self.calls.members.known
        own = known.by_id.get(known.member_id)
        self.is_known = self.readiness == _READY or (own is not None and bool(own.client_urls))
        if self.is_known:
            self.acceptor.hold("unknown", ())

    def on_auth_state(self, message: AuthState) -> None:
        """Users, roles, or whether anybody is asked for them."""
        self.auth_news.on_state(message)
        self.identities.on_news()
        self.watching.on_auth_change()
        self._say_heard(message.applied_index)
        if not self.knows_users:
            self._look_whether_users_are_known()

    def on_auth_tokens(self, message: AuthTokens) -> None:
        """Simple tokens that are given, and those that are gone."""
        self.auth_news.on_tokens(message)
        if message.dropped != []:
            self.identities.on_news()
            self._say_heard(message.applied_index)

    def on_v2_guard(self, message: V2Guard) -> None:
        """Whether the v2 API's users are in force."""
        self.v2_auth.on_guard(message)
        self._say_heard(message.applied_index)

    def _say_heard(self, index: int) -> None:
        """Nothing that was before is acted by any more: who has made the change may have its answer."""
        self.links.send("backend", AuthHeard(self.boot.incarnation, index))

    def on_leadership(self, message: Leadership) -> None:
        """What raft grants; the first one starts the probe after which this listener is ready."""
        self.calls.on_leadership(message)
        self.streams.on_leader(bool(message.leader))
        self.v2_statistics.on_leader(message.leader)
        self.ready_index = message.ready_index
        if message.incarnation and self.known_commit is None:
            self.known_commit = message.commit
        if not self.knows_users:
            self._look_whether_users_are_known()
        if self.readiness == _NOT_READY:
            self._ask_ready()

    def _look_whether_users_are_known(self) -> None:
        """Clients are let in when the backend has told of users and roles, and had applied by then what raft knew to be
        committed: else it may have told of earlier ones, since it has lost what it had not synced. If it had not, it is
        asked to say so: what has changed by then comes before its answer."""
        commit = self.known_commit
        if commit is None or not self.auth_news.is_told:
            return
        if commit <= self.auth_news.applied_index:
            self._let_in()
        elif not self.asks_for_users:
            self.asks_for_users = True
            self.calls.begin_ready(_Probe(self._on_caught_up), commit)

    def _on_caught_up(self, served: bool) -> None:
        self.asks_for_users = False
        if served:
            self._let_in()
        else:
            self._look_whether_users_are_known()

    def _let_in(self) -> None:
        self.knows_users = True
        if not self.stopping:
            self.acceptor.accept_from(self.sockets)
        self.heartbeat_now()  # the supervisor leaves clients to it

    def _ask_ready(self) -> None:
        if self.ready_index:
            self.readiness = _ASKING
            self.calls.begin_ready(_Probe(self.on_probe), self.ready_index)

    def on_probe(self, served: bool) -> None:
        """served: whether the backend has applied what makes this member known to the cluster"""
        if not served:
            self.readiness = _NOT_READY  # the backend did not answer within the request timeout
            self._ask_ready()
            return
        self.readiness = _READY
        if not self.is_known:
            self._look_whether_it_is_known()
        self._announce()

    def _announce(self) -> None:
        """Logs that clients are served, once, when it is true: a reader of the log may connect at once."""
        if self.announced or self.readiness != _READY or not self.acceptor.is_accepting:
            return
        self.announced = True
        self.log.info("ready to serve client requests")
        for address, port in zip(self.addresses, self.ports, strict=True):
            if port.is_plain:
                self.log.info("serving client traffic insecurely; this is strongly discouraged!", address=address)
            if port.is_secure:
                self.log.info("serving client traffic securely", address=address)
        self.heartbeat_now()  # the supervisor tells the service manager

    def _on_stop(self, stop: Stop) -> None:
        self.stop_deadline_s = stop.deadline_s
        if not self.stopping:
            self.stopping = True
            self._leave_loop()

    def _leave_loop(self) -> None:
        """NB: once. uvloop keeps a second stop for the next run of the loop, which would cut the draining short."""
        if not self.left_loop:
            self.left_loop = True
            self.event_loop.stop()

    # ---- end ----

    def on_stop(self) -> None:
        """Refuses new connections and streams, and lets the calls under way finish."""
        self.event_loop.run_until_complete(self._drain_connections())
        if self.tracing is not None:
            self.tracing.close()
        self.tell_last_figures()

    async def _drain_connections(self) -> None:
        self.acceptor.accept_from([])
        for connection in list(self.connections):
            connection.drain()
        self.streams.drain()
        began = time.monotonic()
        while self._is_serving(began + FRESH_S) and time.monotonic() < began + self.stop_deadline_s * 0.8:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.flush()
            connection.transport.close()
        if self.handshakes is not None:
            self.handshakes.close()
        await asyncio.sleep(0)

    def _is_serving(self, fresh_until: float) -> bool:
        """Whether a client may still have a call on its way to this listener, or wait for an answer."""
        is_early = time.monotonic() < fresh_until
        if self.handshakes is not None and (self.handshakes.is_serving or (is_early and len(self.handshakes))):
            return True
        return any(not c.transport.is_closing() and (not c.is_fresh or is_early) for c in self.connections)

    def summary(self) -> dict[str, Any]:
        return {
            "connections": len(self.connections),
            "calls": len(self.calls),
            "long_reads": len(self.calls.long_reads),
            "streams": len(self.streams),
            "client_cpu": self.affinity.cpu,
            "lets_in": self.knows_users,
            **({"serving": True} if self.announced else {}),
            **({"drained": not (self.connections or self.handshakes)} if self.is_drained else {}),
        }

    def metrics(self) -> dict[str, Any]:
        certificates = {} if self.handshakes is None else self.handshakes.files.figures("client")
        living = [connection.grpc for connection in self.connections if connection.grpc is not None]
        return {
            **self.watching.metrics(),
            **call_figures(self.tally, living),
            **self.calls.metrics(),
            **self.endpoints.tally.metrics(),
            **self.scrapes.metrics(),
            **self.v2_tally.metrics(),
            "snapshots_for_clients": self.snapshots.times.figure(),
            **certificates,
        }

    def details(self) -> dict[str, Any]:
        return {
            "addresses": self.addresses,
            "connection_errors": self.connection_errors,
            "readiness": ("not ready", "asking", "ready")[self.readiness],
            "accepting": self.acceptor.is_accepting,
            "known": self.is_known,
            "draining": self.is_drained or self.stopping,
            "clients": sorted(connection.remote for connection in self.connections)[:CLIENTS_SHOWN],
            **({} if self.handshakes is None else self.handshakes.files.show()),
        }


def run(boot: Boot) -> int:
    """Runs a listener in this process. return its exit status"""
    return run_actor(ListenerActor, boot)
