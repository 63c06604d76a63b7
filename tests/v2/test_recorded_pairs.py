"""The recorded calls for keys on the pure core: status, headers and bodies as etcd 3.5.1 gave them."""

from typing import Any

from actors.listener.v2_flow import found_in, request_of
from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import answers, applying, errors
from etcdz.v2.answers import HttpAnswer, Position
from etcdz.v2.errors import V2Error
from etcdz.v2.events import Event
from etcdz.v2.form import FORM_TYPE, unescape
from etcdz.v2.key_request import METHODS, PREFIX, KeyRequest, parse, sync_entry
from etcdz.v2.store import KEYS, V2Store
from etcdz.v2.watchers import QUEUE_MAX, Watcher
from tests.v2.auth_core import AuthCore
from tests.v2.recorded import BEFORE, MEANWHILE, Call, masked, rows
from tests.v2.recorded import in_order as listed

SECOND_NS = 1_000_000_000
FIRST_NODES = ("/0/members/1/raftAttributes", "/0/members/1/attributes", "/0/version")
NOT_OF_THE_CORE = ("bad escape", "dot segments", "double slash", "patch", "options")
"""Answered before a request is one for keys."""
COUNTED = "event index outdated"
"""Up to here calls are counted: users and roles come behind it."""
LAST = "auth delete role"
AUTH_ROWS = "/v2/auth"


class Core:
    """A member without a log: every entry is applied at once."""

    def __init__(self) -> None:
        self.store = V2Store()
        self.now_ns = 1_700_000_000 * SECOND_NS
        self.auth = AuthCore(self.store, request_of, found_in)
        self.store.create(FIRST_NODES[0], "", 0, self.now_ns)
        for path in FIRST_NODES[1:]:
            self.store.set(path, "", 0, self.now_ns)

    def request(self, method: str, target: str, content_type: str, body: str) -> KeyRequest | V2Error:
        path, _, query = target.partition("?")
        raw = unescape(path.encode(), plus_is_space=False)
        return parse(method, raw, query.encode(), content_type, body.encode(), self.now_ns)

    def apply(self, data: bytes) -> Event | V2Error | None:
        return applying.apply(self.store, pb.Request.FromString(data), self.now_ns)

    def call(self, call: Call) -> None:
        method, target, body = call
        if method == "SYNC":
            self.now_ns += SECOND_NS + 1
            self.apply(sync_entry(1, self.now_ns))
            return
        request = self.request(method, target, FORM_TYPE, body)
        assert isinstance(request, KeyRequest)
        assert isinstance(self.apply(request.entry(1)), Event)

    def answer(self, request: KeyRequest, name: str) -> HttpAnswer:
        if request.is_watch:
            return self.watch(request, name)
        if request.is_read:
            flags = request.flags
            found: Any = self.store.get(request.path, flags["recursive"], flags["sorted"], self.now_ns)
        else:
            found = self.apply(request.entry(1))
        result = answers.encode_result(found, Position(1, 2), KEYS)
        return answers.decode_result(result).to_http(request.is_brief)

    def judged(self, request: KeyRequest | V2Error, asked: dict[str, Any], name: str) -> HttpAnswer:
        """By whoever asks."""
        if isinstance(request, V2Error):
            return answers.error_answer(request)
        key, by = asked["path"].partition("?")[0][len(PREFIX) :], asked.get("headers", {}).get("Authorization", "")
        if not self.auth.may(request.method, key, by, is_recursive=request.flags["recursive"]):
            return answers.error_answer(V2Error(errors.UNAUTHORIZED, "Insufficient credentials"))
        return self.answer(request, name)

    def ask_auth(self, asked: dict[str, Any]) -> HttpAnswer:
        by = asked.get("headers", {}).get("Authorization", "")
        return self.auth.ask(asked["method"], asked["path"], asked.get("body") or "", by)

    def watch(self, request: KeyRequest, name: str) -> HttpAnswer:
        got: list[Event] = []

        def deliver(event: Event) -> bool:
            got.append(event)
            return len(got) < QUEUE_MAX

        is_stream = request.flags["stream"]
        watcher = Watcher(request.path, request.flags["recursive"], is_stream, request.wait_index, deliver)
        index = self.store.index
        error = self.store.watch(watcher)
        if error is not None:
            return answers.error_answer(error)
        for call in MEANWHILE.get(name, []):
            self.call(call)
        body = "".join([answers.event_json(event) for event in got])
        return HttpAnswer(200, answers.index_headers(index, Position(1, 2)), body.encode())


def differs(row: dict[str, Any], answer: HttpAnswer) -> str:
    expected = row["response"]
    if answer.status != expected["status"]:
        return f"status {answer.status}, not {expected['status']}: {answer.body!r}"
    headers = dict(answer.headers)
    for header in ("Content-Type", "X-Etcd-Index"):
        if headers.get(header) != expected["headers"].get(header):
            return f"{header}: {headers.get(header)}, not {expected['headers'].get(header)}"
    ours, theirs = masked(answer.body.decode()), masked(expected["body"])
    is_same = ours == theirs or ('"nodes"' in theirs and listed(ours) == listed(theirs))
    return "" if is_same or row["request"]["method"] == "HEAD" else f"{ours}, not {theirs}"


def test_every_recorded_call_for_keys_users_and_roles_is_answered_as_recorded() -> None:
    core, wrong, counts = Core(), [], {}
    for row in rows():
        name, asked = row["name"], row["request"]
        if asked["path"].startswith(AUTH_ROWS):
            if why := differs(row, core.ask_auth(asked)):
                wrong.append(f"{name}: {why}")
        elif asked["path"].startswith(PREFIX) and asked["method"] in METHODS and name not in NOT_OF_THE_CORE:
            for call in BEFORE.get(name, []):
                core.call(call)
            content_type = asked.get("headers", {}).get("Content-Type", "")
            request = core.request(asked["method"], asked["path"], content_type, asked.get("body") or "")
            answer = core.judged(request, asked, name)
            if why := differs(row, answer):
                wrong.append(f"{name}: {why}")
        if name == COUNTED:
            counts = dict(core.store.statistics.counts)
        if name == LAST:
            break
    assert not wrong, "\n".join(wrong)
    names = ("setsSuccess", "setsFail", "deleteSuccess", "deleteFail", "updateSuccess", "updateFail", "createSuccess")
    assert [counts[name] for name in names] == [30, 5, 6, 4, 4, 2, 7]
    names = ("createFail", "compareAndSwapSuccess", "compareAndSwapFail", "compareAndDeleteSuccess", "expireCount")
    assert [counts[name] for name in names] == [1, 1, 5, 4, 2]
