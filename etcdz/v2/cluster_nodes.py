"""What the v2 store says of the cluster: the membership as nodes below /0, as etcd's members take it out of a .snap.

    /0/members/<id>/raftAttributes     {"peerURLs":[...]}
    /0/members/<id>/attributes         {"name":...,"clientURLs":[...]}, once the member has told them
    /0/removed_members/<id>            empty
    /0/version                         3.5.0

Each change makes the index of the store higher, so that members agree on it. Source: etcd 3.5 api/membership store.
"""

from typing import Final

from etcdz.cluster.membership import (
    ADDED,
    REMOVED,
    TOLD,
    UPDATED,
    VERSION_PATH,
    VERSION_SET,
    Member,
    Membership,
    encode_json,
)
from etcdz.v2.history import EventHistory
from etcdz.v2.statistics import StoreStatistics
from etcdz.v2.store import V2Store
from etcdz.v2.watchers import WatcherHub

MEMBERS: Final = "/0/members"
REMOVED_MEMBERS: Final = "/0/removed_members"


def add_member(store: V2Store, member: Member) -> None:
    """One that was not there."""
    store.create(f"{MEMBERS}/{member.id:x}/raftAttributes", encode_json(member.raft_attributes), 0, 0)


def update_member(store: V2Store, member: Member) -> None:
    """Its peer URLs, or its vote."""
    store.update(f"{MEMBERS}/{member.id:x}/raftAttributes", encode_json(member.raft_attributes), 0, 0)


def set_attributes(store: V2Store, member: Member) -> None:
    """Its name and client URLs."""
    store.set(f"{MEMBERS}/{member.id:x}/attributes", encode_json(member.attributes), 0, 0)


def remove_member(store: V2Store, id_: int) -> None:
    """For good."""
    store.delete(f"{MEMBERS}/{id_:x}", is_dir=True, is_recursive=True, now_ns=0)
    store.create(f"{REMOVED_MEMBERS}/{id_:x}", "", 0, 0)


def set_version(store: V2Store, version: str) -> None:
    """Of the cluster."""
    store.set(VERSION_PATH, version, 0, 0)


def follow(store: V2Store, membership: Membership) -> None:
    """What an entry has changed of the membership. Requires: called after each entry"""
    for kind, id_ in membership.take_changes():
        if kind == REMOVED:
            remove_member(store, id_)
        elif kind == VERSION_SET:
            set_version(store, membership.version or "")
        else:
            _FOLLOW[kind](store, membership.by_id[id_])


_FOLLOW: Final = {ADDED: add_member, UPDATED: update_member, TOLD: set_attributes}


def store_of(membership: Membership) -> V2Store:
    """A store that holds a membership and nothing else, and knows of no events."""
    store = V2Store()
    for member in membership.sorted_members():
        add_member(store, member)
        if member.attributes:
            set_attributes(store, member)
    for id_ in sorted(membership.removed):
        store.create(f"{REMOVED_MEMBERS}/{id_:x}", "", 0, 0)
    if membership.version is not None:
        set_version(store, membership.version)
    store.hub = WatcherHub(EventHistory())
    store.events.clear()
    store.statistics = StoreStatistics()
    return store
