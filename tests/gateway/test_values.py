"""Bodies of many JSON objects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.gateway.requests import BadJson
from etcdz.gateway.values import JsonValues

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), _ANY, max_size=3), max_size=5)


@given(_OBJECTS, st.sampled_from(["", "\n", " \r\n\t"]), st.integers(1, 7), st.booleans())
def test_objects_come_out_one_by_one_however_the_body_is_cut(
    objects: list[dict[str, object]], between: str, step: int, is_ascii: bool
) -> None:
    body = between.join(json.dumps(one, ensure_ascii=is_ascii) for one in objects).encode("utf-8", "surrogatepass")
    values = JsonValues(1 << 20)
    found = [one for at in range(0, len(body), step) for one in values.feed(body[at : at + step])]
    assert [json.loads(one) for one in found] == objects
    assert not values.is_partial


def test_an_object_is_there_with_its_last_bracket() -> None:
    values = JsonValues(100)
    assert list(values.feed(b'{"a":"}')) == []
    assert values.is_partial
    assert list(values.feed(b'{\\"","b":[{}]}{')) == [b'{"a":"}{\\"","b":[{}]}']
    assert values.is_partial


@pytest.mark.parametrize("body", [b"x", b"[1]", b"{}x", b"{} 5", b'"x"', b"null", b"}"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        list(JsonValues(100).feed(body))


def test_an_object_beyond_the_bound_is_refused() -> None:
    values = JsonValues(100)
    with pytest.raises(BadJson):
        for _ in range(100):
            list(values.feed(b'{"a":"' + b"x" * 50))


def test_what_comes_before_a_broken_object_is_there() -> None:
    values = JsonValues(100).feed(b'{"a":1}x')
    assert next(values) == b'{"a":1}'
    with pytest.raises(BadJson):
        next(values)
