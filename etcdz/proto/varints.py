"""A varint the plain way: for what is encoded seldom, and for the tables of etcdz/proto/fields.py."""


def plain_varint(value: int) -> bytes:
    """value: of a uint64"""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)
