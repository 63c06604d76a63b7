"""Conversations with whole nodes: any number of them, the messages between them, their storage threads.

One Environment per file. A command either returns, or raises RaftError whose text becomes its answer; anything else
that is raised ends the file.
"""

import random
from collections.abc import Callable
from typing import Any

from etcdz.raft import (
    ConfChange,
    ConfChangeV2,
    Config,
    ConfState,
    HardState,
    Message,
    RaftError,
    Snapshot,
)
from etcdz.raft.describe import (
    describe_entries,
    describe_message,
    describe_progress_map,
    describe_ready,
    parse_changes,
)
from etcdz.raft.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    MESSAGE_NAMES,
    MSG_SNAP,
    MSG_STORAGE_APPEND,
    ROLE_NAMES,
    TRANSITION_AUTO,
    TRANSITION_JOINT_EXPLICIT,
    TRANSITION_JOINT_IMPLICIT,
)
from etcdz.raft.read_only import READ_LEASE_BASED, READ_SAFE
from tests.raft.datadriven import Directive
from tests.raft.talk_member import HistoryStorage, Node
from tests.raft.talk_output import LEVELS, Output

_THREADS = (APPEND_THREAD, APPLY_THREAD)
_TRANSITIONS = {
    "auto": TRANSITION_AUTO,
    "implicit": TRANSITION_JOINT_IMPLICIT,
    "explicit": TRANSITION_JOINT_EXPLICIT,
}
_READ_ONLY = {"safe": READ_SAFE, "lease-based": READ_LEASE_BASED}
# Arguments of add-nodes that are fields of Config.
_NUMBER_OPTIONS = {
    "inflight": "max_inflight_msgs",
    "max-committed-size-per-ready": "max_committed_size_per_ready",
    "max-size-per-msg": "max_size_per_msg",
    "max-uncommitted-size": "max_uncommitted_size",
    "max-inflight-bytes": "max_inflight_bytes",
}
_BOOL_OPTIONS = {
    "async-storage-writes": "async_storage_writes",
    "prevote": "pre_vote",
    "checkquorum": "check_quorum",
    "disable-proposal-forwarding": "disable_proposal_forwarding",
    "disable-conf-change-validation": "disable_conf_change_validation",
    "step-down-on-removal": "step_down_on_removal",
}


class Environment:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.messages: list[Message] = []  # between nodes, not yet delivered
        self.out = Output()

    def handle(self, d: Directive) -> str:
        self.out.text = ""
        try:
            command = _COMMANDS.get(d.command)
            if command is None:
                raise RaftError("unknown command")
            command(self, d)
        except RaftError as error:
            if self.out.quiet:
                return str(error)
            self.out.text += str(error)
        return self.out.text or "ok"

    def node(self, number: int) -> Node:
        if not 1 <= number <= len(self.nodes):
            raise LookupError(f"no node {number}")
        return self.nodes[number - 1]

    # Nodes

    def add_nodes(self, d: Directive) -> None:
        snapshot, options = _bootstrap_and_options(d)
        for _ in range(d.first_number()):
            storage = HistoryStorage()
            if snapshot != Snapshot():
                if snapshot.index <= 1:
                    raise RaftError("index must be specified as > 1 due to bootstrap")
                snapshot = snapshot._replace(term=1)
                storage.apply_snapshot(snapshot)
            config = Config(
                id=len(self.nodes) + 1,
                election_tick=3,
                heartbeat_tick=1,
                storage=storage,
                random=random.Random(len(self.nodes)).randrange,
                logger=self.out,
                **{"max_inflight_msgs": (1 << 31) - 1, **options},
            )
            node = Node(config, storage)
            storage.history.append(snapshot)
            self.nodes.append(node)

    # Driving

    def campaign(self, d: Directive) -> None:
        self.node(d.first_number()).raw.campaign()

    def propose(self, d: Directive) -> None:
        if len(d.arguments) != 2 or d.arguments[1].values:
            raise d.wrong("expected a node and one word")
        self.node(d.first_number()).raw.propose(d.arguments[1].key.encode())

    def propose_conf_change(self, d: Directive) -> None:
        v1, transition = False, TRANSITION_AUTO
        for argument in d.arguments[1:]:
            for value in argument.values:
                if argument.key == "v1":
                    v1 = d.boolean(value)
                elif argument.key != "transition":
                    raise RaftError(f"unknown command {argument.key}")
                elif value not in _TRANSITIONS:
                    raise RaftError(f"unknown transition {value}")
                else:
                    transition = _TRANSITIONS[value]
        try:
            changes = parse_changes(d.input)
        except ValueError as error:
            raise RaftError(str(error)) from None
        change: ConfChange | ConfChangeV2 = ConfChangeV2(transition, changes)
        if v1:
            if len(changes) > 1 or transition != TRANSITION_AUTO:
                raise RaftError("v1 conf change can only have one operation and no transition")
            change = ConfChange(*changes[0])
        self.node(d.first_number()).raw.propose_conf_change(change)

    def tick_heartbeat(self, d: Directive) -> None:
        node = self.node(d.first_number())
        for _ in range(node.config.heartbeat_tick):
            node.raw.tick()

    def tick_election(self, d: Directive) -> None:
        node = self.node(d.first_number())
        for _ in range(node.config.election_tick):
            node.raw.tick()

    def set_randomized_election_timeout(self, d: Directive) -> None:
        self.node(d.first_number()).raw.raft.election_timeout = d.number(d.value("timeout"))

    def transfer_leadership(self, d: Directive) -> None:
        source, target = d.number(d.value("from")), d.number(d.value("to"))
        self.node(target)
        self.node(source).raw.transfer_leader(target)

    def forget_leader(self, d: Directive) -> None:
        self.node(d.first_number()).raw.forget_leader()

    def report_unreachable(self, d: Directive) -> None:
        if len(d.numbers()) != 2:
            raise RaftError("must specify exactly two node indexes: node on which to report, and reported node")
        reporter, peer = d.numbers()
        self.node(reporter).raw.report_unreachable(self.node(peer).id)

    def send_snapshot(self, d: Directive) -> None:
        if len(d.numbers()) != 2:
            raise d.wrong("expected two nodes")
        source, target = d.numbers()
        node = self.node(source)
        term = node.raw.basic_status().hard_state.term
        message = Message(MSG_SNAP, term=term, from_=source, to=target, snapshot=node.storage.snapshot())
        self.messages.append(message)
        self.out.write(describe_message(message))

    # Beyond etcd-io/raft's own commands

    def propose_batch(self, d: Directive) -> None:
        self.node(d.first_number()).raw.propose_batch([argument.key.encode() for argument in d.arguments[1:]])

    def read_index(self, d: Directive) -> None:
        self.node(d.first_number()).raw.read_index(d.arguments[1].key.encode())

    def report_snapshot(self, d: Directive) -> None:
        reporter, peer = d.numbers()
        self.node(reporter).raw.report_snapshot(peer, failed=d.boolean(d.value("failed")))

    def restart(self, d: Directive) -> None:
        node = self.node(d.first_number())
        # What it said to itself dies with it; what is on its way to others does not.
        self.messages = [m for m in self.messages if m.to != node.id or not _is_local(m)]
        node.restart()

    # Work that nodes hand out

    def process_ready(self, d: Directive) -> None:
        self._for_each(d, "handling Ready", self._process_ready)

    def process_append_thread(self, d: Directive) -> None:
        self._for_each(d, "processing append thread", self._process_append)

    def process_apply_thread(self, d: Directive) -> None:
        self._for_each(d, "processing apply thread", self._process_apply)

    def _for_each(self, d: Directive, doing: str, work: Callable[[Node], None]) -> None:
        nodes = [self.node(number) for number in d.numbers()]
        for node in nodes:
            if len(nodes) > 1:
                self._headed(node, doing, work)
            else:
                work(node)

    def _headed(self, node: Node, doing: str, work: Callable[[Node], object]) -> None:
        self.out.write(f"> {node.id} {doing}\n")
        self.out.indented(lambda: work(node))

    def _process_ready(self, node: Node) -> None:
        ready = node.raw.ready()
        self.out.write(describe_ready(ready))
        synchronous = not node.config.async_storage_writes
        if synchronous:
            node.append(ready.hard_state or HardState(), ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for m in ready.messages:
            if m.to not in _THREADS:
                self.messages.append(m)
            elif m.type == MSG_STORAGE_APPEND:
                node.append_work.append(m)
            else:
                node.apply_work.append(m)
        if synchronous:
            node.raw.advance()

    def _process_append(self, node: Node) -> None:
        if not node.append_work:
            self.out.write("no append work to perform")
            return
        m = node.append_work.pop(0)
        state = HardState(m.term, m.vote, m.commit)
        self._process_thread(m, lambda: node.append(state, m.entries, m.snapshot))

    def _process_apply(self, node: Node) -> None:
        if not node.apply_work:
            self.out.write("no apply work to perform")
            return
        m = node.apply_work.pop(0)
        self._process_thread(m, lambda: node.apply(m.entries))

    def _process_thread(self, m: Message, work: Callable[[], None]) -> None:
        self.out.write(f"Processing:\n{describe_message(m._replace(responses=()))}\n")
        work()
        self.out.write("Responses:\n")
        for response in m.responses:
            self.out.write(describe_message(response) + "\n")
        self.messages += m.responses

    # Messages

    def deliver_msgs(self, d: Directive) -> None:
        wanted: int | None = None
        recipients: list[tuple[int, bool]] = []
        for argument in d.arguments:
            if not argument.values:
                recipients.append((d.number(argument.key), False))
            elif argument.key == "drop":
                recipients += [(d.number(value), True) for value in argument.values]
            elif argument.key == "type":
                if argument.values[-1] not in MESSAGE_NAMES:
                    raise d.wrong(f"unknown message type {argument.values[-1]}")
                wanted = MESSAGE_NAMES.index(argument.values[-1])
        delivered = {number for number, drop in recipients if not drop}
        if any(drop and number in delivered for number, drop in recipients):
            raise d.wrong("can't both deliver and drop msgs")
        # Not any(): every recipient has its turn.
        if not sum([self._deliver(number, drop, wanted) for number, drop in recipients]):
            self.out.write("no messages\n")

    def _deliver(self, number: int, drop: bool = False, wanted: int | None = None) -> int:
        """Deliver or drop what is on its way to a node now; how many messages that were."""
        taken = [m for m in self.messages if _is_for(m, number, drop, wanted)]
        self.messages = [m for m in self.messages if not _is_for(m, number, drop, wanted)]
        for m in taken:
            self.out.write(f"{'dropped: ' if drop else ''}{describe_message(m)}\n")
            if drop:
                continue
            try:
                self.node(number).raw.step(m)
            except RaftError as error:
                self.out.write(f"{error}\n")
        return len(taken)

    def stabilize(self, d: Directive) -> None:
        level = self.out.level
        try:
            for argument in d.arguments:
                if argument.key == "log-level":
                    self._set_level(argument.values[-1])
            nodes = [self.node(number) for number in d.numbers()] or list(self.nodes)
            while self._pass(nodes):
                pass
        finally:
            self.out.level = level

    def _pass(self, nodes: list[Node]) -> bool:
        """One round of everything; whether there was anything to do."""
        worked = False
        for has_work, doing, work in (
            (lambda node: node.raw.has_ready(), "handling Ready", self._process_ready),
            (self._has_messages, "receiving messages", lambda node: self._deliver(node.id)),
            (lambda node: bool(node.append_work), "processing append thread", self._process_appends),
            (lambda node: bool(node.apply_work), "processing apply thread", self._process_applies),
        ):
            for node in nodes:
                if has_work(node):
                    worked = True
                    self._headed(node, doing, work)
        return worked

    def _has_messages(self, node: Node) -> bool:
        return any(m.to == node.id for m in self.messages)

    def _process_appends(self, node: Node) -> None:
        while node.append_work:
            self._process_append(node)

    def _process_applies(self, node: Node) -> None:
        while node.apply_work:
            self._process_apply(node)

    # Looking

    def log_level(self, d: Directive) -> None:
        self._set_level(d.arguments[0].key)

    def _set_level(self, name: str) -> None:
        if name.upper() not in LEVELS:
            raise RaftError(f"log levels must be either of [{' '.join(LEVELS)}]")
        self.out.level = LEVELS.index(name.upper())

    def raft_log(self, d: Directive) -> None:
        storage = self.node(d.first_number()).storage
        first, last = storage.first_index(), storage.last_index()
        if last < first:
            self.out.write(f"log is empty: first index={first}, last index={last}")
        else:
            self.out.write(describe_entries(storage.entries(first, last + 1)))

    def compact(self, d: Directive) -> None:
        self.node(d.first_number()).storage.compact(d.number(d.arguments[1].key))
        self.raft_log(d)

    def raft_state(self, d: Directive) -> None:
        for node in self.nodes:
            status = node.raw.status()
            role = ROLE_NAMES[status.basic.soft_state.role]
            part = "(Voter)" if node.id in status.config.all_voters else "(Non-Voter)"
            term, lead = status.basic.hard_state.term, status.basic.soft_state.lead
            self.out.write(f"{node.id}: {role} {part} Term:{term} Lead:{lead}\n")

    def status(self, d: Directive) -> None:
        self.out.write(describe_progress_map(self.node(d.first_number()).raw.status().progress))

    def breakpoint(self, d: Directive) -> None:
        """A place for a debugger to stop at."""


def _is_for(m: Message, number: int, drop: bool, wanted: int | None) -> bool:
    if m.to != number or (wanted is not None and m.type != wanted):
        return False
    # Whatever a member says to itself cannot get lost.
    return not (drop and _is_local(m))


def _is_local(m: Message) -> bool:
    return m.from_ == m.to or m.from_ in _THREADS or m.to in _THREADS


def _bootstrap_and_options(d: Directive) -> tuple[Snapshot, dict[str, Any]]:
    """The snapshot that the new nodes start with, and fields of their Config."""
    voters: list[int] = []
    learners: list[int] = []
    snapshot = Snapshot()
    options: dict[str, Any] = {}
    for argument in d.arguments[1:]:
        for value in argument.values:
            if argument.key in ("voters", "learners"):
                (voters if argument.key == "voters" else learners).append(d.number(value))
            elif argument.key == "index":
                options["applied"] = d.number(value)
                snapshot = snapshot._replace(index=d.number(value))
            elif argument.key == "content":
                snapshot = snapshot._replace(data=value.encode())
            elif argument.key in _NUMBER_OPTIONS:
                options[_NUMBER_OPTIONS[argument.key]] = d.number(value)
            elif argument.key in _BOOL_OPTIONS:
                options[_BOOL_OPTIONS[argument.key]] = d.boolean(value)
            elif argument.key == "read-only":
                if value not in _READ_ONLY:
                    raise RaftError(f'invalid read-only option "{value}"')
                options["read_only"] = _READ_ONLY[value]
    return snapshot._replace(conf_state=ConfState(tuple(voters), tuple(learners))), options


_COMMANDS: dict[str, Callable[[Environment, Directive], None]] = {
    "_breakpoint": Environment.breakpoint,
    "add-nodes": Environment.add_nodes,
    "campaign": Environment.campaign,
    "compact": Environment.compact,
    "deliver-msgs": Environment.deliver_msgs,
    "forget-leader": Environment.forget_leader,
    "log-level": Environment.log_level,
    "process-append-thread": Environment.process_append_thread,
    "process-apply-thread": Environment.process_apply_thread,
    "process-ready": Environment.process_ready,
    "propose": Environment.propose,
    "propose-batch": Environment.propose_batch,
    "propose-conf-change": Environment.propose_conf_change,
    "raft-log": Environment.raft_log,
    "raft-state": Environment.raft_state,
    "read-index": Environment.read_index,
    "report-snapshot": Environment.report_snapshot,
    "report-unreachable": Environment.report_unreachable,
    "restart": Environment.restart,
    "send-snapshot": Environment.send_snapshot,
    "set-randomized-election-timeout": Environment.set_randomized_election_timeout,
    "stabilize": Environment.stabilize,
    "status": Environment.status,
    "tick-election": Environment.tick_election,
    "tick-heartbeat": Environment.tick_heartbeat,
    "transfer-leadership": Environment.transfer_leadership,
}
