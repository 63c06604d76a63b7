"""A whole handshake in memory."""

import ssl
from contextlib import suppress
from typing import NamedTuple


class Ends(NamedTuple):
    server: ssl.SSLObject
    client: ssl.SSLObject


def shake(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    host: str | None = "localhost",
    session: ssl.SSLSession | None = None,
) -> Ends:
    """Both ends after a good handshake. raises ssl.SSLError: of the end that refuses the other"""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = Ends(
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=host, session=session),
    )
    errors: list[ssl.SSLError] = []
    waiting = [ends.client, ends.server]
    for _ in range(6):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                errors.append(error)
            waiting.remove(end)
    if errors:
        raise errors[0]
    assert not waiting
    with suppress(ssl.SSLWantReadError):  # TLS 1.3: what follows the handshake
        ends.client.read()
    return ends
