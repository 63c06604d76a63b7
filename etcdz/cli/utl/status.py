"""`snapshot status`: hash, last revision, number of keys and size of a bbolt file, once every page of it is checked.

hash   CRC-32C over each bucket's name, keys and values, in order
Source: etcd 3.5 etcdutl; its formats and texts.
"""

import json
from typing import NamedTuple

import google_crc32c

from etcdz.bbolt import BoltCorrupt, BoltFile
from etcdz.cli.command_tree import CommandError
from etcdz.cli.sizes import human_size
from etcdz.cli.utl.files import open_file

BAD_FORMAT = 4
"""Exit status of etcd's tools for an unknown -w."""
_PARTS_MAX = 4096


class Status(NamedTuple):
    """total_keys: rows of all buckets, as etcd counts. total_size: bytes of the file"""

    hash: int
    revision: int
    total_keys: int
    total_size: int


def run(path: str, write_out: str) -> int:
    """Prints the status of a file. write_out: of -w. return the exit status. raises CommandError"""
    if write_out not in (*_WRITERS, "protobuf"):
        raise CommandError("unsupported output format", BAD_FORMAT)
    file, source = open_file(path, "stat")
    try:
        status = status_of(file)
        if write_out == "protobuf":
            raise CommandError("protobuf not supported as output format", BAD_FORMAT)
        _WRITERS[write_out](status)
    except BoltCorrupt as error:
        raise CommandError(f"snapshot file integrity check failed. {error}") from None
    finally:
        source.close()
    return 0


def status_of(file: BoltFile) -> Status:
    """Reads all of the file. raises BoltCorrupt"""
    file.check()
    crc = revision = keys = 0
    for name, bucket in file.buckets():
        parts = [name]
        for key, value in file.rows(bucket):
            parts += (key, value)
            keys += 1
            if name == b"key":
                revision = int.from_bytes(key[:8], "big")
            if len(parts) >= _PARTS_MAX:
                crc = google_crc32c.extend(crc, b"".join(parts))
                parts.clear()
        crc = google_crc32c.extend(crc, b"".join(parts))
    return Status(crc, revision, keys, file.size)


def _simple(status: Status) -> None:
    print(f"{status.hash:x}, {status.revision}, {status.total_keys}, {human_size(status.total_size)}")


def _json(status: Status) -> None:
    row = dict(zip(("hash", "revision", "totalKey", "totalSize"), status, strict=True))
    print(json.dumps(row, separators=(",", ":")))


def _fields(status: Status) -> None:
    for name, value in zip(("Hash", "Revision", "Keys", "Size"), status, strict=True):
        print(f'"{name}" : {value}')


def _table(status: Status) -> None:
    heads = ("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE")
    cells = (f"{status.hash:x}", str(status.revision), str(status.total_keys), human_size(status.total_size))
    widths = [max(len(head), len(cell)) for head, cell in zip(heads, cells, strict=True)]
    rule = "".join(["+" + "-" * (width + 2) for width in widths]) + "+"
    top = "".join([f"| {head:^{width}} " for head, width in zip(heads, widths, strict=True)]) + "|"
    row = "".join([f"| {cell:>{width}} " for cell, width in zip(cells, widths, strict=True)]) + "|"
    print("\n".join((rule, top, rule, row, rule)))


_WRITERS = {"simple": _simple, "json": _json, "fields": _fields, "table": _table}
