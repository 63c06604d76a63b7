"""Runs recipes (`etcdz.recipes`) for clients of one listener: Lock, Election, RangeStream.

    Ask      is a call like a client's own (actors/listener/calls.py): it survives what calls survive
    Watch    is a watcher of the listener's hub (actors/listener/watching.py), and its only one of a stream of its own

So a Lock that waits survives the end of every actor but its listener. Nothing here blocks: a recipe that waits is a
generator to which nothing has been sent yet.
"""

import asyncio
from collections import deque
from functools import partial
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from actors.listener.call import Caller, ForClient
from actors.listener.calls import Calls
from actors.listener.identities import Credentials
from actors.listener.streams import Service, StreamCall, Streams, end_for_resumption
from actors.listener.watching import Watching
from actors.runtime.link import Links
from etcdz.api.errors import COMPACTED, Code
from etcdz.api.methods import (
    CAMPAIGN,
    LEADER,
    LOCK,
    OBSERVE,
    PROCLAIM,
    RANGE_STREAM,
    RESIGN,
    UNLOCK,
)
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb, v3lockpb
from etcdz.recipes import election, mutex, range_stream
from etcdz.recipes.steps import ANSWERS, READS, Ask, Gone, Leaving, Next, Recipe, Refused, Send, Served, Step, Watch
from etcdz.wire.frames import GRPC_PREFIX_BYTES

_SERVED: Final = {
    LOCK: Served(v3lockpb.LockRequest, mutex.lock, unary=True, flat=True),
    UNLOCK: Served(v3lockpb.UnlockRequest, mutex.unlock, unary=True, flat=True),
    CAMPAIGN: Served(v3electionpb.CampaignRequest, election.campaign, unary=True, flat=True),
    PROCLAIM: Served(v3electionpb.ProclaimRequest, election.proclaim, unary=True, flat=True),
    LEADER: Served(v3electionpb.LeaderRequest, election.leader, unary=True, flat=True),
    OBSERVE: Served(v3electionpb.LeaderRequest, election.observe, unary=False, flat=True),
    RESIGN: Served(v3electionpb.ResignRequest, election.resign, unary=True, flat=True),
}

_NOTHING: Final = object()


class Host(Protocol):
    """What recipes need of their listener."""

    calls: Calls
    links: Links
    event_loop: asyncio.AbstractEventLoop
    streams: Streams
    watching: Watching

    def fail(self, error: Exception) -> None: ...


class Recipes:
    """The services of all recipes of one listener."""

    def __init__(self, host: Host, chunk_bytes: int) -> None:
        """chunk_bytes: size of a RangeStream's messages"""
        self.host = host
        self._due: list[RecipeCall] = []
        """Calls whose watch has had a response. NB: they go on after the hub's turn, since they close and open
        watches."""
        start = partial(range_stream.range_stream, chunk_bytes=chunk_bytes)
        self._served = _SERVED | {RANGE_STREAM: Served(pb.RangeRequest, start, unary=False, flat=False)}

    def services(self) -> dict[int, Service]:
        """The service of each recipe, by method."""

        def service(served: Served) -> Service:
            return lambda call: RecipeCall(self, served, call)

        return {method: service(served) for method, served in self._served.items()}

    def wake_soon(self, call: "RecipeCall") -> None:
        """The call's watch has a response: the call goes on once the hub's turn has ended."""
        if not self._due:
            self.host.event_loop.call_soon(self._turn)
        self._due.append(call)

    def _turn(self) -> None:
        try:
            due, self._due = self._due, []
            for call in due:
                call.look_at_watch()
            self.host.streams.flush()
            self.host.links.flush()
        except Exception as error:
            self.host.fail(error)


class RecipeCall(ForClient):
    """One client's call: the StreamHandler of its stream, and the Caller of what its recipe asks.

    _step      what the recipe waits for; None: it runs, or has ended
    _asked     number of the last Ask: answers to others come too late
    _outcome   came while the recipe ran: what the step that it has just yielded brought at once
    _leaving   why the client does not wait any more; None: it does, or the recipe has been told
    """

    __slots__ = (
        "_asked", "_call", "_leaving", "_outcome", "_over", "_recipe", "_recipes", "_running", "_served",
        "_step", "_watch",
    )  # fmt: skip

    def __init__(self, recipes: Recipes, served: Served, call: StreamCall) -> None:
        self._recipes = recipes
        self._served = served
        self._call = call
        self._recipe: Recipe | None = None
        self._step: Step | None = None
        self._asked = 0
        self._outcome: Any = _NOTHING
        self._leaving: Gone | None = None
        self._running = False
        self._over = False
        self._watch: RecipeWatch | None = None

    # ---- the client ----

    def on_message(self, body: bytes) -> None:
        if self._recipe is not None:
            return  # a recipe has one request
        try:
            request = self._served.request.FromString(body)
        except DecodeError as problem:
            text = "error unmarshalling request:" if self._served.unary else "failed to unmarshal the received message"
            self._over = True
            self._call.finish(Code.INTERNAL, f"grpc: {text} {problem}")
            return
        self._recipe = self._served.start(request)
        self._resume(None)

    def on_end(self) -> None:
        if self._recipe is None:
            self._call.finish(Code.UNKNOWN, "EOF")

    def on_gone(self) -> None:
        self._leave(Gone())

    def on_writable(self) -> None:
        if isinstance(self._step, Send):
            self._resume(None)
        if self._watch is not None:
            self._watch.resume()

    def on_drain(self) -> None:
        """A client that waits asks again elsewhere; a change that is under way is still answered."""
        if self._recipe is None:
            end_for_resumption(self._call)
        else:
            self._leave(Leaving())

    def _leave(self, reason: Gone) -> None:
        if self._recipe is None or self._over:
            return
        if self._step is None or _is_change(self._step):
            self._leaving = reason
            return
        if isinstance(self._step, Ask):  # it may take long, and nobody waits for it any more
            self._recipes.host.streams.cancelled.setdefault(self, set()).add(self._asked)
        self._resume(reason)

    # ---- what comes of a step ----

    @property
    def remote(self) -> str | None:
        """The client's address for a log line; None: not known."""
        return getattr(self._call.connection, "remote", None)

    @property
    def client(self) -> Caller:
        return self._call.connection

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """The answer to an Ask, whose number stands for the stream."""
        if not isinstance(self._step, Ask) or stream_id != self._asked:
            return
        try:
            if code:
                self._resume(Refused(Code.UNKNOWN if self._served.flat else code, body.decode()))
            else:
                self._resume(ANSWERS[self._step.method].FromString(body))
        except Exception as error:  # over what one client has asked: the answers of others are still to be given
            self._call.connection.fail(error)

    def flush(self) -> None:
        """Nothing is to be flushed: answers go to the recipe."""

    def look_at_watch(self) -> None:
        """The watch has had a response, which the recipe gets if it waits for one."""
        if isinstance(self._step, Watch | Next) and self._watch is not None and self._watch.responses:
            try:
                self._resume(self._watch.responses.popleft())
            except Exception as error:
                self._call.connection.fail(error)

    # ---- the recipe ----

    def _resume(self, outcome: Any) -> None:
        """Sends the recipe the outcome of its step, or throws it if it is an exception; goes on until it waits."""
        self._outcome = outcome
        if self._running:
            return
        self._running = True
        while self._outcome is not _NOTHING:
            outcome, self._outcome = self._outcome, _NOTHING
            self._step = None
            step = self._advance(outcome)
            if step is None:
                break
            self._step = step
            self._begin(step)
        self._running = False

    def _advance(self, outcome: Any) -> Step | None:
        """The next step; None: the recipe has ended, and the client has its answer."""
        recipe = self._recipe
        assert recipe is not None
        try:
            return recipe.throw(outcome) if isinstance(outcome, Exception) else recipe.send(outcome)
        except StopIteration as end:
            self._end()
            if end.value is None:
                self._call.finish()
            else:
                self._call.finish_with(end.value.SerializeToString())
        except Refused as refused:
            self._end()
            self._call.finish(refused.code, refused.text)
        except Gone:
            self._end()
            end_for_resumption(self._call)  # does nothing, unless it is only the listener that goes
        self._call.touch()
        return None

    def _end(self) -> None:
        self._over = True
        self._close_watch()

    def _begin(self, step: Step) -> None:
        if self._leaving is not None and not _is_change(step):
            self._outcome, self._leaving = self._leaving, None
        elif isinstance(step, Ask):
            self._close_watch()
            self._asked += 1
            body = step.request.SerializeToString()
            auth = self._recipes.host.calls.identities.of_stream(self._call)
            self._recipes.host.calls.begin(self, self._asked, step.method, body, auth)
        elif isinstance(step, Watch):
            self._close_watch()
            self._watch = RecipeWatch(self._recipes, self, self._call, step.request)
        elif isinstance(step, Send):
            self._call.send(step.message.SerializeToString())
            self._call.touch()
            if not self._call.is_clogged:
                self._outcome = None
        elif self._watch is not None and self._watch.responses:
            self._outcome = self._watch.responses.popleft()

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


class RecipeWatch:
    """One watcher, and what the hub takes for the stream of its client.

    responses   what the recipe has not had yet, in order
    """

    def __init__(self, recipes: Recipes, owner: RecipeCall, call: StreamCall, request: pb.WatchCreateRequest) -> None:
        self._recipes = recipes
        self._owner = owner
        self._call = call
        self._watching = recipes.host.watching
        self.responses: deque[pb.WatchResponse | Refused] = deque()
        self._stream = self._watching.hub.open(self)
        self._watching.hub.request(self._stream, pb.WatchRequest(create_request=request))
        self._watching.turn_soon()

    @property
    def credentials(self) -> Credentials:
        """The client's: it watches nothing that its client may not."""
        return self._call.credentials

    @property
    def common_name(self) -> str:
        return self._call.common_name

    @property
    def is_clogged(self) -> bool:
        return self._call.is_clogged

    def flush(self) -> None:
        self._call.flush()

    def touch(self) -> None:
        """Nothing is to be flushed: what a recipe sends of it is flushed by the recipe's call."""

    def send_parts(self, head: bytes, body: bytes) -> None:
        response = pb.WatchResponse.FromString(head + body)
        if response.canceled:
            text = COMPACTED.text if response.compact_revision else response.cancel_reason
            self.responses.append(Refused(Code.UNKNOWN, text))
        elif response.events:
            self.responses.append(response)
        else:
            return
        self._recipes.wake_soon(self._owner)

    def send_joined(self, messages: bytes, count: int) -> None:
        """Several messages, each behind its gRPC prefix: a byte without meaning here, and its size in four."""
        at = 0
        while at < len(messages):
            end = at + GRPC_PREFIX_BYTES + int.from_bytes(messages[at + 1 : at + GRPC_PREFIX_BYTES], "big")
            self.send_parts(messages[at + GRPC_PREFIX_BYTES : end], b"")
            at = end

    def resume(self) -> None:
        """The client reads again."""
        self._watching.hub.resume(self._stream)
        self._watching.turn_soon()

    def close(self) -> None:
        """Ends the watch; responses that have come stay."""
        self._watching.hub.close(self._stream)
        self._watching.turn_soon()


def _is_change(step: Step) -> bool:
    """Whether the step is seen to its end, even if no client waits for it any more."""
    return isinstance(step, Ask) and step.method not in READS
