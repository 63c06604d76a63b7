"""Random calls to the v2 API, as a client sends them: few names, so that conditions are met now and then."""

import random
from typing import NamedTuple
from urllib.parse import quote

FILES = ("f1", "f2", "f3", "d1/f1", "d1/f2", "d2/x/f", "_h/f")
"""Names that TTLs are renewed of: none of them ever is a directory."""
NAMES = (*FILES, "d1", "d2", "d2/x", "d3", "_h", "q", "e", "e/below", "")
FLAGS = ("recursive", "sorted", "wait", "dir", "quorum", "stream", "noValueOnSuccess", "prevExist", "refresh")
KINDS = ("get", "get", "set", "set", "set", "create", "update", "swap", "order", "delete", "delete", "odd")
VALUES = ("", "1", "2", 'a "b" <c> & \\ \u2028 ä', "3")


class Call(NamedTuple):
    """query: without its question mark; body: a form"""

    method: str
    path: str
    query: str
    body: str


def random_call(rng: random.Random, last_index: int) -> Call:
    name = rng.choice(NAMES)
    return _MAKERS[rng.choice(KINDS)](rng, name, last_index)


def _get(rng: random.Random, name: str, last_index: int) -> Call:
    flags = [f"{flag}={rng.choice(('true', 'false', '1', 'F'))}" for flag in ("recursive", "quorum")]
    return _call(rng.choice(("GET", "GET", "HEAD")), name, "&".join(["sorted=true", *flags[: rng.randrange(3)]]))


def _set(rng: random.Random, name: str, last_index: int) -> Call:
    if rng.random() < 0.25:
        return _call("PUT", name if name not in FILES else "d3/new", "", "dir=true", *_ttl(rng))
    return _call("PUT", name, "", _value(rng), *_ttl(rng), *_brief(rng))


def _create(rng: random.Random, name: str, last_index: int) -> Call:
    return _call("PUT", name, "", _value(rng), "prevExist=false", *_ttl(rng))


def _update(rng: random.Random, name: str, last_index: int) -> Call:
    if rng.random() < 0.3:
        return _call("PUT", rng.choice(FILES), "", "refresh=true", f"ttl={rng.choice((1, 100))}", "prevExist=true")
    return _call("PUT", name, "", "value=x", "prevExist=true", *_ttl(rng), *_brief(rng))


def _swap(rng: random.Random, name: str, last_index: int) -> Call:
    conditions = [f"prevValue={rng.choice(VALUES[1:3])}", f"prevIndex={max(last_index - rng.randrange(4), 0)}"]
    chosen = rng.choice((conditions, conditions[:1], conditions[1:]))
    if rng.random() < 0.3:
        return _call("DELETE", name, "&".join(chosen))
    return _call("PUT", name, "", _value(rng), *chosen, *_ttl(rng), *rng.choice(([], [], ["prevExist=true"])))


def _order(rng: random.Random, name: str, last_index: int) -> Call:
    return _call("POST", rng.choice(("q", "d1", "d3", "")), "", _value(rng), *_ttl(rng))


def _delete(rng: random.Random, name: str, last_index: int) -> Call:
    return _call("DELETE", name, rng.choice(("", "dir=true", "recursive=true", "dir=false&recursive=false")))


def _odd(rng: random.Random, name: str, last_index: int) -> Call:
    field = rng.choice(("prevIndex", "waitIndex", "prevValue", "ttl", *FLAGS))
    odd = f"{field}={rng.choice(('', 'x', '-1', '%zz', 'yes', '99999999999999999999'))}"
    method = rng.choice(("PUT", "DELETE", "POST"))
    return _call(method, "q" if method == "POST" else rng.choice(FILES), rng.choice(("", odd)), "value=1", odd)


def _value(rng: random.Random) -> str:
    return f"value={quote(rng.choice(VALUES))}"


def _ttl(rng: random.Random) -> list[str]:
    return [f"ttl={rng.choice(('1', '100', '', '18446744073709551615'))}"] if rng.random() < 0.2 else []


def _brief(rng: random.Random) -> list[str]:
    return ["noValueOnSuccess=true"] if rng.random() < 0.1 else []


def _call(method: str, name: str, query: str, *fields: str) -> Call:
    return Call(method, f"/v2/keys/{quote(name)}", query, "&".join(fields))


_MAKERS = {
    "get": _get,
    "set": _set,
    "create": _create,
    "update": _update,
    "swap": _swap,
    "order": _order,
    "delete": _delete,
    "odd": _odd,
}
