"""Streams and POSTed messages of running members, etcd 3.4.23 and 3.5.1, each stream from its first byte on.

An element of STREAMS: (kind, writer's id, reader's id, bytes of the body without the chunks' framing).
"""

import json
from pathlib import Path

_FOUND = json.loads((Path(__file__).parent / "testdata" / "etcd.json").read_text())

STREAMS = [
    (one["stream"], int(one["writer"], 16), int(one["reader"], 16), bytes.fromhex(one["hex"]))
    for one in _FOUND["streams"]
]
POSTS = [bytes.fromhex(one) for one in _FOUND["posts"]]
