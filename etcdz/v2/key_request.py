"""What a client asks of /v2/keys: path, query and form of an HTTP request, checked in etcd's order.

Source: etcd 3.5 v2http client (parseKeyRequest).
"""

from typing import Any, Final, NamedTuple

from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import errors
from etcdz.v2.errors import V2Error
from etcdz.v2.form import BadForm, Form, is_form
from etcdz.v2.go_json import SECOND_NS
from etcdz.v2.store import KEYS, clean

PREFIX: Final = "/v2/keys"
METHODS: Final = ("HEAD", "GET", "PUT", "POST", "DELETE")
WITH_BODY: Final = ("PUT", "POST", "PATCH")
PARTS_MAX: Final = 200
"""Names in a path. etcd has no such bound, and cannot read its own snapshot again above 5,000."""
_FLAGS: Final = ("recursive", "sorted", "wait", "dir", "quorum", "stream")
_NO_FLAGS: Final = dict.fromkeys(_FLAGS, False)
_INT64: Final = 1 << 64
_INT64_SIGN: Final = 1 << 63


class KeyRequest(NamedTuple):
    """A checked request.

    path        of the node, /1 in front
    flags       those of _FLAGS, by name
    prev_exist  None: it does not matter
    expires_ns  0: never
    """

    method: str
    path: str
    value: str
    flags: dict[str, bool]
    prev_value: str
    prev_index: int
    wait_index: int
    prev_exist: bool | None
    refresh: bool | None
    expires_ns: int
    is_brief: bool

    @property
    def is_watch(self) -> bool:
        return self.flags["wait"] and self.method == "GET" and not self.flags["quorum"]

    @property
    def is_read(self) -> bool:
        """Whether this member can answer it by itself."""
        return self.method == "HEAD" or (self.method == "GET" and not self.flags["quorum"])

    def entry(self, request_id: int) -> bytes:
        """Data of the log entry that asks for it."""
        method = "QGET" if self.method == "GET" else self.method
        request = entry_of(request_id, method, self.path)
        request.Val = self.value
        request.Dir, request.Recursive, request.Sorted = (self.flags[n] for n in ("dir", "recursive", "sorted"))
        request.Wait, request.Quorum, request.Stream = (self.flags[n] for n in ("wait", "quorum", "stream"))
        request.PrevValue, request.PrevIndex, request.Since = self.prev_value, self.prev_index, self.wait_index
        request.Expiration = self.expires_ns
        if self.prev_exist is not None:
            request.PrevExist = self.prev_exist
        if self.refresh is not None:
            request.Refresh = self.refresh
        return bytes(request.SerializeToString())


def entry_of(request_id: int, method: str, path: str) -> Any:
    """pb.Request with all fields that etcd writes, also when they are zero: all but the two optional ones."""
    request = pb.Request()
    request.CopyFrom(_ZEROS)
    request.ID, request.Method, request.Path = request_id, method, path
    return request


def _zeros() -> Any:
    request = pb.Request()
    for field in request.DESCRIPTOR.fields:
        if field.name not in ("PrevExist", "Refresh"):
            setattr(request, field.name, field.default_value)
    return request


_ZEROS: Final = _zeros()


def sync_entry(request_id: int, time_ns: int) -> bytes:
    """Data of the entry by which a leader has expire what does so by this time."""
    request = entry_of(request_id, "SYNC", "")
    request.Time = time_ns
    return bytes(request.SerializeToString())


def parse(method: str, path: str, query: bytes, content_type: str, body: bytes, now_ns: int) -> KeyRequest | V2Error:
    """path: unescaped, with PREFIX in front. query: as it came, without its question mark"""
    try:
        form = Form(query, body if method in WITH_BODY and is_form(content_type) else b"")
    except BadForm as error:
        return V2Error(errors.INVALID_FORM, str(error))
    node_path = clean(KEYS + path[len(PREFIX) :])
    if node_path.count("/") > PARTS_MAX:
        return V2Error(errors.INVALID_FIELD, f"the path has more than {PARTS_MAX} parts")
    if form.has_only("value"):
        return KeyRequest(method, node_path, form.text("value"), _NO_FLAGS, "", 0, 0, None, None, 0, False)
    return _checked(method, node_path, form, now_ns)


def _checked(method: str, path: str, form: Form, now_ns: int) -> KeyRequest | V2Error:
    for name in ("prevIndex", "waitIndex"):
        if form.number(name) is None:
            return V2Error(errors.INDEX_NAN, f'invalid value for "{name}"')
    flags = {name: form.flag(name) for name in _FLAGS}
    for name, flag in flags.items():
        if flag is None:
            return V2Error(errors.INVALID_FIELD, f'invalid value for "{name}"')
    if flags["wait"] and method != "GET":
        return V2Error(errors.INVALID_FIELD, '"wait" can only be used with GET requests')
    if "prevValue" in form and not form.text("prevValue"):
        return V2Error(errors.PREV_VALUE_REQUIRED, '"prevValue" cannot be empty')
    if form.flag("noValueOnSuccess") is None:
        return V2Error(errors.INVALID_FIELD, 'invalid value for "noValueOnSuccess"')
    error = _check_ttl(form)
    if error is not None:
        return error
    return KeyRequest(
        method,
        path,
        form.text("value"),
        {name: bool(flag) for name, flag in flags.items()},
        form.text("prevValue"),
        form.number("prevIndex") or 0,
        form.number("waitIndex") or 0,
        form.flag("prevExist") if "prevExist" in form else None,
        form.flag("refresh") if "refresh" in form else None,
        _expiration(form, now_ns),
        bool(form.flag("noValueOnSuccess")),
    )


def _check_ttl(form: Form) -> V2Error | None:
    has_ttl = bool(form.text("ttl"))
    if has_ttl and form.number("ttl") is None:
        return V2Error(errors.TTL_NAN, 'invalid value for "ttl"')
    for name in ("prevExist", "refresh"):
        if form.flag(name) is None:
            return V2Error(errors.INVALID_FIELD, f"invalid value for {name}")
    if not form.flag("refresh"):
        return None
    if form.text("value"):
        return V2Error(errors.REFRESH_VALUE, "A value was provided on a refresh")
    return None if has_ttl else V2Error(errors.REFRESH_TTL_REQUIRED, "No TTL value set")


def _expiration(form: Form, now_ns: int) -> int:
    """Unix time in ns; of a TTL that is too long for that, what 64 bits make of it, as in etcd."""
    if not form.text("ttl"):
        return 0
    ttl_ns = _wrapped((form.number("ttl") or 0) * SECOND_NS)
    return _wrapped(now_ns + ttl_ns)


def _wrapped(number: int) -> int:
    return (number + _INT64_SIGN) % _INT64 - _INT64_SIGN
