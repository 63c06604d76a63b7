"""What was recorded of real etcd's JSON gateway, request by request on a fresh member: etcdz answers the same, but for
the rows of DIFFERENCES."""

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.etcd_process import Etcdz
from tests.parity.json_calls import STREAMS, Answer, Gateway, is_like

ROWS: Final = [json.loads(line) for line in (Path(__file__).parent.parent / "facts/gateway.jsonl").open()][1:]

MAIN: Final = "as etcd main answers"
WORDS: Final = "the same status and code in other words: they are the JSON library's"
NOT_HERE: Final = "tests/process/test_gateway_streams.py"
DIFFERENCES: Final = {
    "range, int64 as float 1.0": MAIN,
    "range, int64 as float 1.5": WORDS,
    "range, enum unknown name": MAIN,
    "range, enum unknown number": MAIN,
    "range, bool as string": WORDS,
    "not JSON": WORDS,
    "JSON cut short": WORDS,
    "bad base64": WORDS,
    "base64 without padding": MAIN,
    "base64 url alphabet": MAIN,
    "wrong type": WORDS,
    "array instead of object": WORDS,
    "watch, empty body": NOT_HERE,
    "status": "the fields of etcd 3.6 as well, as over gRPC",
    "hashkv": MAIN,
    "auth on: range with Bearer token": MAIN,
    "auth on: watch without token": MAIN,
    "auth on: watch denied": MAIN,
    "auth on: status without token": MAIN,
    "auth on: member list without token": MAIN,
    "auth on: alarm list without token": MAIN,
    "auth on: hash without token": MAIN,
    "auth on: hashkv without token": MAIN,
    "auth on: compaction without token": MAIN,
    "auth on: lease grant without token": MAIN,
    "auth on: lease leases without token": MAIN,
    "auth on: lease leases as u": MAIN,
    "auth on: defragment as u": MAIN,
    "range with a stale token after disable": MAIN,
    "txn with two of a oneof": "400, as etcd main, in other words",
    "websocket upgrade": NOT_HERE,
}
"""What is not as in etcd 3.5.1, by the name of the row."""


class _Client:
    """Plays rows, and keeps the tokens that it is given."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._gateway = Gateway(target)
        self._tokens: dict[str, str] = {}

    def play(self, row: dict[str, Any]) -> Answer:
        request, recorded = row["request"], row["response"]
        headers = {name: self._fill(value) for name, value in request.get("headers", {}).items()}
        if request["path"] in STREAMS and request["method"] == "POST" and recorded["status"] == 200:
            self._gateway.open(request["path"], request["body"], headers)
            if "during" in row:
                return self._change_meanwhile(row["during"], recorded["body"].count("\n"))
            return self._gateway.read_lines(recorded["body"].count("\n"))
        answer = self._gateway.call(request["path"], request.get("body"), headers, request["method"])
        if request["path"] == "/v3/auth/authenticate" and answer.status == 200:
            self._tokens[json.loads(request["body"])["name"]] = json.loads(answer.body)["token"]
        return answer

    def _fill(self, value: str) -> str:
        return re.sub(r"<token of (\w+)>", lambda found: self._tokens[found[1]], value)

    def _change_meanwhile(self, changes: list[Any], lines: int) -> Answer:
        """Makes changes once a watch has said that it is there."""
        first = self._gateway.read_line()
        other = Gateway(self._target)
        for _, path, message in changes:
            other.post(path, message)
        other.close()
        rest = self._gateway.read_lines(lines - 1)
        return Answer(rest.status, first + rest.body, rest.headers)


def _values(body: str) -> Any:
    """The JSON values of a body; the body, if it is none."""
    try:
        return [json.loads(line) for line in re.sub(r":<n>", ':"<n>"', body).splitlines() if line]
    except ValueError:
        return body


def _is_answered(found: Answer, recorded: dict[str, Any]) -> bool:
    if found.status != recorded["status"]:
        return False
    headers = {name.lower(): value for name, value in found.headers.items()}
    if any(headers.get(name.lower()) != value for name, value in recorded.get("headers", {}).items()):
        return False
    got, wanted = _values(found.body), _values(recorded["body"])
    if found.status >= 400 and "code" in recorded["body"]:
        return {name: got[0][name] for name in ("code", "message")} == {
            name: wanted[0][name] for name in ("code", "message")
        }
    return is_like(got, wanted)


def _is_right(row: dict[str, Any], found: Answer) -> bool:
    why, recorded = DIFFERENCES.get(row["name"]), row["response"]
    if why is None:
        return _is_answered(found, recorded)
    if why == MAIN:
        return not _is_answered(found, recorded) and _is_answered(found, row["response_main"])
    if why == WORDS:
        return found.status == recorded["status"] and found.lines()[0]["code"] == json.loads(recorded["body"])["code"]
    return found.status == row["response_main"]["status"]


def test_every_recorded_row_is_answered_so_or_its_difference_is_decided(tmp_path: Path) -> None:
    assert DIFFERENCES.keys() <= {row["name"] for row in ROWS}
    wrong = []
    with Etcdz(tmp_path) as member:
        client = _Client(member.target)
        for row in ROWS:
            if DIFFERENCES.get(row["name"]) != NOT_HERE:
                found = client.play(row)
                if not _is_right(row, found):
                    wrong.append((row["name"], found, row["response"]))
    assert not wrong


def test_without_the_gateway_its_paths_are_unknown(tmp_path: Path) -> None:
    with Etcdz(tmp_path, "--enable-grpc-gateway=false") as member:
        answer = Gateway(member.target).call("/v3/kv/range", '{"key": "Zm9v"}')
    assert (answer.status, answer.body) == (404, "404 page not found\n")
