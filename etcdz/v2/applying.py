"""Applies an etcdserverpb.Request, as the log holds it, to a v2 store.

Source: etcd 3.5 etcdserver apply_v2.
"""

from typing import Any

from etcdz.v2.errors import V2Error
from etcdz.v2.events import Event
from etcdz.v2.listing import Listing
from etcdz.v2.store import V2Store

WRITES = ("PUT", "POST", "DELETE")


def apply(store: V2Store, request: Any, now_ns: int) -> Event | Listing | V2Error | None:
    """What its client is answered; None: nobody asks.

    request   pb.Request; those that are about members are the membership's (Membership.apply_v2)
    raises    ValueError: a method that no member proposes
    """
    method = request.Method
    if method == "PUT":
        return _put(store, request, now_ns)
    if method == "QGET":
        return store.get(text(request.Path), request.Recursive, request.Sorted, now_ns)
    if method == "POST":
        return store.create(text(request.Path), _value(request), request.Expiration, now_ns, is_in_order=True)
    if method == "DELETE":
        if request.PrevIndex or request.PrevValue:
            before_value = text(request.PrevValue)
            return store.compare_and_delete(text(request.Path), before_value, request.PrevIndex, now_ns)
        return store.delete(text(request.Path), request.Dir, request.Recursive, now_ns)
    if method == "SYNC":
        store.expire(request.Time, now_ns)
        return None
    raise ValueError(f"a request of the v2 API with the method {method!r}")


def _put(store: V2Store, request: Any, now_ns: int) -> Event | V2Error:
    path, value, before_value = text(request.Path), text(request.Val), text(request.PrevValue)
    expires_ns, is_refresh = request.Expiration, request.Refresh
    has_condition = request.PrevIndex or before_value
    if request.HasField("PrevExist") and not request.PrevExist:
        return store.create(path, _value(request), expires_ns, now_ns)
    if has_condition:
        return store.compare_and_swap(
            path,
            value,
            expires_ns,
            now_ns,
            before_value=before_value,
            before_index=request.PrevIndex,
            is_refresh=is_refresh,
        )
    if request.HasField("PrevExist"):
        return store.update(path, value, expires_ns, now_ns, is_refresh)
    return store.set(path, _value(request), expires_ns, now_ns, is_refresh)


def _value(request: Any) -> str | None:
    """None: a directory."""
    return None if request.Dir else text(request.Val)


def text(said: str | bytes) -> str:
    """Members of etcd may propose what is no UTF-8, which protobuf gives as bytes: shown as clients are shown it."""
    return said if isinstance(said, str) else said.decode("utf-8", "replace")
