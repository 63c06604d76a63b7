"""A request about members of the v2 API: which URLs its body names, which member its path.

    {"peerURLs":["http://10.0.0.1:2380"]}

Source: etcd 3.5 v2http httptypes.
"""

import json
from typing import Any, Final

JSON_TYPE: Final = "application/json"
_FIELD: Final = "peerurls"
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_ID_DIGITS_MAX: Final = 16


class Refused(ValueError):
    """Why a request is not served. status: HTTP's"""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def peer_urls_of(content_type: str, body: bytes) -> list[str]:
    """As they stand there, but for blanks around them. raises Refused"""
    kind, semicolon, _ = content_type.partition(";")
    kind = kind.lower().strip() if semicolon else kind
    if kind != JSON_TYPE:
        raise Refused(415, f"Bad Content-Type {kind}, accept {JSON_TYPE}")
    urls = _named(_decoded(body))
    if not urls:
        raise Refused(400, "no valid URLs given")
    return [url.strip() for url in urls]


def _decoded(body: bytes) -> Any:
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        is_cut_off = not text[error.pos :].strip()
        raise Refused(400, "unexpected end of JSON input" if is_cut_off else str(error)) from None
    except RecursionError:
        raise Refused(400, "exceeded max depth") from None


def _named(told: Any) -> list[str]:
    """NB: names of fields are found whatever their case, as Go finds them, and null stands for nothing."""
    if told is None:
        return []
    if not isinstance(told, dict):
        raise Refused(400, "json: cannot unmarshal the request into an object")
    named = [value for name, value in told.items() if name.lower() == _FIELD]
    urls = (named[-1] if named else None) or []
    if not isinstance(urls, list) or not all(url is None or isinstance(url, str) for url in urls):
        raise Refused(400, "json: cannot unmarshal peerURLs into a list of strings")
    return [url or "" for url in urls]


def member_id_of(text: str) -> int:
    """raises Refused: it is no id"""
    if not text or len(text.lstrip("0")) > _ID_DIGITS_MAX or not _HEX_DIGITS.issuperset(text):
        raise Refused(404, f"No such member: {text}")
    return int(text, 16)
