"""The members of the cluster: what applied entries have said about them, and the rows that keep it.

The applier feeds it with entries in order; it knows no raft and no store.

    bucket             key              value
    members            id in hex        JSON {"id", "peerURLs", "isLearner"?, "name"?, "clientURLs"?}
    members_removed    id in hex        removed
    cluster            clusterVersion   3.5.0
    cluster            downgrade        JSON {"target-version", "enabled"}
    meta               confState        JSON of raftpb.ConfState

A ConfChange entry's context is the JSON of a member, with "isPromote": true where a learner becomes a voter. What a
member says of itself (name, client URLs) comes as a v2 request, PUT /0/members/<id>/attributes, or, from 3.6 members,
as cluster_member_attr_set; the cluster version likewise.
Source: etcd 3.5 api/membership and apply_v2; ids are printed without leading zeros, as Go does.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.proto import deep, raftpb
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import printable
from etcdz.store.buckets import CLUSTER, MEMBERS, MEMBERS_REMOVED, META, bucket_end

CLUSTER_VERSION_KEY = b"clusterVersion"
DOWNGRADE_KEY = b"downgrade"
CONF_STATE_KEY = b"confState"
VERSION_PATH = "/0/version"
ADDED, UPDATED, TOLD, REMOVED, VERSION_SET = range(5)
"""Kinds of changes."""
LEARNERS_MAX = 1
MEMBERSHIP_REQUESTS = ("cluster_version_set", "cluster_member_attr_set", "downgrade_info_set")
"""Fields of InternalRaftRequest that are about membership."""

Row = tuple[bytes, bytes, bytes | None]
"""(bucket with its separator, key, value or None: delete)"""
MemberChange = tuple[int, int]
"""(kind, member id, or 0 if it is about the cluster)"""

_WITH_CONTEXT = (
    raftpb.ConfChangeType.ConfChangeAddNode,
    raftpb.ConfChangeType.ConfChangeUpdateNode,
    raftpb.ConfChangeType.ConfChangeAddLearnerNode,
)
_ATTRIBUTES_PATH = re.compile(r"/0/members/([0-9a-f]{1,16})/attributes")
_GO_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class Store(Protocol):
    """What rows are loaded from."""

    def iterate(self, lo: bytes, hi: bytes) -> Iterable[tuple[bytes, bytes]]: ...


def encode_json(value: Any) -> str:
    """As Go's encoding/json: no spaces, UTF-8 as it is, but for what could end a script tag."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES)


class Member:
    """One member of the cluster. name, client_urls: empty until it has told them (is_started)"""

    __slots__ = ("id", "peer_urls", "is_learner", "name", "client_urls")

    def __init__(
        self,
        id_: int,
        peer_urls: Sequence[str],
        is_learner: bool = False,
        name: str = "",
        client_urls: Sequence[str] = (),
    ) -> None:
        self.id = id_
        self.peer_urls = list(peer_urls)
        self.is_learner = is_learner
        self.name = name
        self.client_urls = list(client_urls)

    @classmethod
    def from_json(cls, text: bytes | str, id_: int | None = None) -> "Member":
        """From the JSON of a row or of a ConfChange's context.

        id_     where the text does not have it
        raises  ValueError, KeyError: it is no member
        """
        v = json.loads(text)
        return cls(
            v["id"] if id_ is None else id_,
            v.get("peerURLs") or (),
            v.get("isLearner", False),
            v.get("name", ""),
            v.get("clientURLs") or (),
        )

    @property
    def raft_attributes(self) -> dict[str, Any]:
        """What the cluster decides on: the JSON of etcd's RaftAttributes."""
        return {"peerURLs": self.peer_urls} | ({"isLearner": True} if self.is_learner else {})

    @property
    def attributes(self) -> dict[str, Any]:
        """What the member tells of itself: the JSON of etcd's Attributes."""
        name = {"name": self.name} if self.name else {}
        return name | ({"clientURLs": self.client_urls} if self.client_urls else {})

    def to_json(self) -> str:
        """As rows and contexts have it, in Go's form."""
        return encode_json({"id": self.id} | self.raft_attributes | self.attributes)

    def to_message(self) -> Any:
        """pb.Member"""
        return pb.Member(
            ID=self.id,
            name=self.name,
            peerURLs=self.peer_urls,
            clientURLs=self.client_urls,
            isLearner=self.is_learner,
        )

    @property
    def is_started(self) -> bool:
        """Whether it has told its name, which it does first of all."""
        return self.name != ""


class Membership:
    """Invariant: what load(rows of load(...)) gives is equal; take_rows() holds what the store does not have yet.

    changes      what entries have changed, in order, for others to take

    version      "3.5.0", or None before the first leader has set it
    downgrade    target version, or "" while none is under way
    """

    __slots__ = (
        "member_id",
        "cluster_id",
        "by_id",
        "removed",
        "version",
        "downgrade",
        "learners_max",
        "changes",
        "_rows",
    )

    def __init__(self, member_id: int, cluster_id: int, learners_max: int = LEARNERS_MAX) -> None:
        self.member_id = member_id
        self.cluster_id = cluster_id
        self.by_id: dict[int, Member] = {}
        self.removed: set[int] = set()
        self.version: str | None = None
        self.downgrade = ""
        self.learners_max = learners_max
        self.changes: list[MemberChange] = []
        self._rows: dict[tuple[bytes, bytes], bytes | None] = {}

    # ---- rows ----

    @classmethod
    def load(cls, store: Store, member_id: int, cluster_id: int) -> "Membership":
        """The membership that a store keeps. raises ValueError: a row that no etcd wrote"""
        loaded = cls(member_id, cluster_id)
        for bucket in (MEMBERS, MEMBERS_REMOVED, CLUSTER):
            for key, value in store.iterate(bucket, bucket_end(bucket)):
                loaded._load_row(bucket, key[len(bucket) :], value)
        return loaded

    @classmethod
    def of_message(cls, member_id: int, cluster_id: int, members: Iterable[Sequence[Any]]) -> "Membership":
        """The membership that the backend has told: members as in Members of etcdz.ipc.messages."""
        told = cls(member_id, cluster_id)
        for id_, name, peer_urls, client_urls, is_learner in members:
            told.by_id[id_] = Member(id_, peer_urls, is_learner, name, client_urls)
        return told

    def _load_row(self, bucket: bytes, key: bytes, value: bytes) -> None:
        if bucket == MEMBERS:
            id_ = int(key, 16)
            self.by_id[id_] = Member.from_json(value, id_)
        elif bucket == MEMBERS_REMOVED:
            self.removed.add(int(key, 16))
        elif key == CLUSTER_VERSION_KEY:
            self.version = value.decode()
        elif key == DOWNGRADE_KEY:
            info = json.loads(value)
            self.downgrade = info["target-version"] if info["enabled"] else ""

    def take_rows(self) -> list[Row]:
        """What has changed since the last call, each key once."""
        if not self._rows:
            return []
        rows = [(bucket, key, value) for (bucket, key), value in self._rows.items()]
        self._rows = {}
        return rows

    def take_changes(self) -> list[MemberChange]:
        """What entries have changed since the last call."""
        if not self.changes:
            return []
        taken, self.changes = self.changes, []
        return taken

    def _save(self, member: Member) -> None:
        self._rows[MEMBERS, b"%x" % member.id] = member.to_json().encode()

    def _save_conf_state(self) -> None:
        self._rows[META, CONF_STATE_KEY] = self.conf_state_json()

    def conf_state_json(self) -> bytes:
        """raftpb.ConfState as a store keeps it."""
        voters, learners = self._ids()
        state: dict[str, Any] = {"voters": voters} if voters else {}
        if learners:
            state["learners"] = learners
        return encode_json(state | {"auto_leave": False}).encode()

    # ---- queries ----

    def sorted_members(self) -> list[Member]:
        """The members by id, as etcd lists them."""
        return [self.by_id[id_] for id_ in sorted(self.by_id)]

    @property
    def is_learner(self) -> bool:
        """Whether this member has no vote yet."""
        own = self.by_id.get(self.member_id)
        return own is not None and own.is_learner

    def members(self) -> list[Any]:
        """pb.Member of each, by id."""
        return [member.to_message() for member in self.sorted_members()]

    def voters(self) -> list[int]:
        """Ids of those that have a vote, ascending."""
        return self._ids()[0]

    def _ids(self) -> tuple[list[int], list[int]]:
        """(voters, learners)"""
        members = self.sorted_members()
        return [m.id for m in members if not m.is_learner], [m.id for m in members if m.is_learner]

    def conf_state(self) -> bytes:
        """Encoded raftpb.ConfState."""
        voters, learners = self._ids()
        return raftpb.ConfState(voters=voters, learners=learners, auto_leave=False).SerializeToString()

    def is_ready_to_add_voter(self) -> bool:
        """--strict-reconfig-check: whether a quorum is started once a voter, not yet started, is there. One member
        alone may always become two."""
        started, voters = self._started_voters()
        return (started == 1 and voters == 1) or started >= (voters + 1) // 2 + 1

    def is_ready_to_remove_voter(self, id_: int) -> bool:
        """Whether a quorum of the others is started."""
        started, voters = self._started_voters(without=id_)
        return started >= voters // 2 + 1

    def is_ready_to_promote(self) -> bool:
        """Whether a quorum is started once a learner, which is, has a vote."""
        started, voters = self._started_voters()
        return started + 1 >= (voters + 1) // 2 + 1

    def _started_voters(self, without: int = 0) -> tuple[int, int]:
        voters = [m for m in self.by_id.values() if not m.is_learner and m.id != without]
        return sum(m.is_started for m in voters), len(voters)

    # ---- changes of the configuration ----

    def apply_conf_change(self, data: bytes, v2: bool = False) -> EtcdError | None:
        """Applies the data of a ConfChange entry.

        v2      the entry holds a ConfChangeV2: no etcd member of 3.x proposes one, as there is no context for it
        return  why it changes nothing, here or in raft, on any member; None: it is applied
        raises  ValueError: data that no member proposes; nothing is changed
        """
        if v2:
            raise ValueError("ConfChangeV2 entries are not part of etcd's membership")
        try:
            change = raftpb.ConfChange.FromString(data)
            error = self.validate(change)
            if error is None:
                self._apply_change(change)
        except (DecodeError, KeyError, TypeError, AttributeError) as problem:  # of JSON that is no member, the latter
            raise ValueError(f"{type(problem).__name__}: {problem}") from problem
        return error

    def _apply_change(self, change: Any) -> None:
        if change.type == raftpb.ConfChangeType.ConfChangeRemoveNode:
            self._remove(change.node_id)
        else:
            self._add_or_update(change)
        self._save_conf_state()

    def validate(self, change: Any) -> EtcdError | None:
        """Why a raftpb.ConfChange must not be applied to this membership, in etcd's order of checks; None: it may be.

        raises  ValueError: a kind of change that no member proposes
        """
        id_ = change.node_id
        if id_ in self.removed:
            return errors.MEMBER_NOT_FOUND
        kinds = raftpb.ConfChangeType
        if change.type == kinds.ConfChangeRemoveNode:
            return None if id_ in self.by_id else errors.MEMBER_NOT_FOUND
        context = json.loads(change.context)
        if change.type == kinds.ConfChangeUpdateNode:
            if id_ not in self.by_id:
                return errors.MEMBER_NOT_FOUND
            return self._taken(context, but=id_)
        if change.type not in (kinds.ConfChangeAddNode, kinds.ConfChangeAddLearnerNode):
            raise ValueError(f"unknown kind of configuration change {change.type}")
        if context.get("isPromote"):
            return self._validate_promotion(id_)
        if id_ in self.by_id:
            return errors.MEMBER_EXIST
        return self._taken(context) or self._validate_learner(context)

    def _validate_promotion(self, id_: int) -> EtcdError | None:
        if id_ not in self.by_id:
            return errors.MEMBER_NOT_FOUND
        return None if self.by_id[id_].is_learner else errors.MEMBER_NOT_LEARNER

    def _taken(self, context: Mapping[str, Any], but: int = 0) -> EtcdError | None:
        urls = {url for m in self.by_id.values() if m.id != but for url in m.peer_urls}
        return errors.PEER_URLEXIST if urls.intersection(context.get("peerURLs") or ()) else None

    def _validate_learner(self, context: Mapping[str, Any]) -> EtcdError | None:
        if context.get("isLearner") and sum(m.is_learner for m in self.by_id.values()) >= self.learners_max:
            return errors.TOO_MANY_LEARNERS
        return None

    def _add_or_update(self, change: Any) -> None:
        context = json.loads(change.context)
        if context.get("id") != change.node_id:
            raise ValueError(f"change of member {change.node_id:x} has a context of member {context.get('id')}")
        said = Member.from_json(change.context)
        if change.type == raftpb.ConfChangeType.ConfChangeUpdateNode:
            member = self.by_id[said.id]
            # NB: its peer URLs alone. A context of an update never has isLearner, and raft's learners stay learners.
            member.peer_urls = said.peer_urls
        elif context.get("isPromote"):
            member = self.by_id[said.id]
            member.is_learner = False
        else:
            member = self.by_id[said.id] = said
        self.changes.append((ADDED if member is said else UPDATED, member.id))
        self._save(member)

    def _remove(self, id_: int) -> None:
        del self.by_id[id_]
        self.removed.add(id_)
        self.changes.append((REMOVED, id_))
        self._rows[MEMBERS, b"%x" % id_] = None
        self._rows[MEMBERS_REMOVED, b"%x" % id_] = b"removed"

    # ---- what members and leaders say of themselves ----

    def apply_entry(self, data: bytes) -> bool:
        """Applies the data of a normal entry: an InternalRaftRequest, or an etcdserverpb.Request.

        return  whether it was about membership
        raises  ValueError: data that no member proposes
        """
        try:
            request = deep.decode(pb.InternalRaftRequest, data, deep.LEVELS_MAX + 1)
        except DecodeError:
            return self.apply_bare_v2(data)
        if request.HasField("cluster_version_set"):
            self._set_version(printable(request.cluster_version_set.ver))
        elif request.HasField("cluster_member_attr_set"):
            said = request.cluster_member_attr_set
            name, urls = said.member_attributes.name, said.member_attributes.client_urls
            self._set_attributes(said.member_ID, printable(name), map(printable, urls))
        elif request.HasField("downgrade_info_set"):
            downgrade = request.downgrade_info_set
            self._set_downgrade(printable(downgrade.ver) if downgrade.enabled else "")
        else:
            return False
        return True

    def apply_bare_v2(self, data: bytes) -> bool:
        """As apply_v2. data: an encoded etcdserverpb.Request. raises ValueError: no member proposes such"""
        try:
            return self.apply_v2(pb.Request.FromString(data))
        except (DecodeError, TypeError, AttributeError) as problem:  # of JSON that is no object, the latter
            raise ValueError(f"{type(problem).__name__}: {problem}") from problem

    def apply_v2(self, request: pb.Request) -> bool:
        """Applies an etcdserverpb.Request. return whether it was about membership, and not for the v2 store"""
        path: Any = request.Path
        if not isinstance(path, str):  # no UTF-8: a key that an etcd member's client has named so
            return False
        if request.Method != "PUT" or request.PrevIndex or request.PrevValue or request.HasField("PrevExist"):
            return False
        if path == VERSION_PATH:
            self._set_version(request.Val)
            return True
        m = _ATTRIBUTES_PATH.fullmatch(path)
        if m is None:
            return False
        said = json.loads(request.Val)
        self._set_attributes(int(m[1], 16), said.get("name", ""), said.get("clientURLs") or ())
        return True

    def _set_attributes(self, id_: int, name: str, client_urls: Iterable[str]) -> None:
        member = self.by_id.get(id_)
        if member is None:
            if id_ not in self.removed:
                raise ValueError(f"attributes of member {id_:x}, which the cluster never had")
            return
        member.name = name
        member.client_urls = list(client_urls)
        self.changes.append((TOLD, id_))
        self._save(member)

    def _set_version(self, version: str) -> None:
        self.version = version
        self.changes.append((VERSION_SET, 0))
        self._rows[CLUSTER, CLUSTER_VERSION_KEY] = version.encode()

    def _set_downgrade(self, target: str) -> None:
        self.downgrade = target
        info = {"target-version": target, "enabled": bool(target)}
        self._rows[CLUSTER, DOWNGRADE_KEY] = encode_json(info).encode()


# ---- entries that a member proposes ----


def bootstrap_entries(peers: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Encoded raftpb.Entry of each peer, of term 1 and indexes from 1 on; all of them are committed from the start."""
    entries = []
    for index, (id_, context) in enumerate(peers, 1):
        data = conf_change(raftpb.ConfChangeType.ConfChangeAddNode, id_, context)
        entry = raftpb.Entry(Type=raftpb.EntryType.EntryConfChange, Term=1, Index=index, Data=data)
        entries.append(entry.SerializeToString())
    return entries


def is_conf_change(data: bytes) -> bool:
    """Whether an entry's data is a change that members can judge; any other one ends whoever applies it."""
    try:
        change = raftpb.ConfChange.FromString(data)
        if change.type == raftpb.ConfChangeType.ConfChangeRemoveNode:
            return True
        context = json.loads(change.context)
        urls = context.get("peerURLs") or []
        is_member = context["id"] == change.node_id and type(urls) is list and all(type(url) is str for url in urls)
        return change.type in _WITH_CONTEXT and is_member
    except (DecodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def conf_change(kind: int, id_: int, context: bytes | None, request_id: int = 0) -> bytes:
    """Encoded raftpb.ConfChange. kind: of raftpb.ConfChangeType. context: JSON of the member, None for a removal"""
    change = raftpb.ConfChange(id=request_id, type=kind, node_id=id_)
    if context is not None:
        change.context = context
    return change.SerializeToString()


def promotion_context(id_: int) -> bytes:
    """Context of the change that gives a learner its vote."""
    return encode_json({"id": id_, "peerURLs": None, "isPromote": True}).encode()


def addition(member: Member, request_id: int) -> bytes:
    """Encoded raftpb.ConfChange that adds a member, with a vote or without."""
    kinds = raftpb.ConfChangeType
    kind = kinds.ConfChangeAddLearnerNode if member.is_learner else kinds.ConfChangeAddNode
    return conf_change(kind, member.id, member.to_json().encode(), request_id)


def update(id_: int, peer_urls: Sequence[str], request_id: int) -> bytes:
    """Encoded raftpb.ConfChange that gives a member other peer URLs."""
    context = Member(id_, peer_urls).to_json().encode()
    return conf_change(raftpb.ConfChangeType.ConfChangeUpdateNode, id_, context, request_id)


def removal(id_: int, request_id: int) -> bytes:
    """Encoded raftpb.ConfChange that removes a member for good."""
    return conf_change(raftpb.ConfChangeType.ConfChangeRemoveNode, id_, None, request_id)


def promotion(id_: int, request_id: int) -> bytes:
    """Encoded raftpb.ConfChange that gives a learner a vote."""
    return conf_change(raftpb.ConfChangeType.ConfChangeAddNode, id_, promotion_context(id_), request_id)


def promoted_id(change: raftpb.ConfChange) -> int:
    """Of the learner that a change would give a vote; 0: it is another change. raises ValueError: bad context"""
    if change.type != raftpb.ConfChangeType.ConfChangeAddNode or not change.context:
        return 0
    return change.node_id if json.loads(change.context).get("isPromote") else 0


def attributes_request(request_id: int, id_: int, name: str, client_urls: Sequence[str]) -> bytes:
    """Entry data by which a member tells its name and client URLs, once it is up."""
    attributes = Member(id_, (), name=name, client_urls=client_urls).attributes
    return _v2_put(request_id, f"/0/members/{id_:x}/attributes", encode_json(attributes))


def version_request(request_id: int, version: str) -> bytes:
    """Entry data by which a leader sets the cluster version, as 3.5 does it: "3.5.0"."""
    return _v2_put(request_id, VERSION_PATH, version)


def downgrade_request(request_id: int, target: str) -> bytes:
    """Entry data that begins a downgrade to this version; "": ends the one that is under way."""
    request = pb.InternalRaftRequest()
    request.header.ID = request_id
    request.downgrade_info_set.SetInParent()
    if target:
        request.downgrade_info_set.enabled, request.downgrade_info_set.ver = True, target
    return request.SerializeToString()


def _v2_put(request_id: int, path: str, value: str) -> bytes:
    request = pb.Request(ID=request_id, Method="PUT", Path=path, Val=value)
    set_fields = [field.name for field, _ in request.ListFields()]
    # etcd writes all but the two optional ones, also when they are zero.
    for field in request.DESCRIPTOR.fields:
        if field.name not in ("PrevExist", "Refresh", *set_fields):
            setattr(request, field.name, field.default_value)
    return request.SerializeToString()
