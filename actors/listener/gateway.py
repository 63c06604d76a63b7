"""The JSON gateway of one listener: /v3/* over HTTP, as the calls and streams that clients of gRPC have.

    exchange -> GatewayCall (gateway_calls.py)     -> Calls    one request, one answer
             -> GatewayStream (gateway_streams.py) -> Streams  many of either, and what waits as long as its client does

Nothing here connects to the member: a request becomes the message that a client of gRPC would have sent, and what that
is answered becomes JSON (etcdz/gateway). Who asks the headers say, and never a certificate.
Source: grpc-gateway v1 as in etcd 3.5.
"""

from functools import partial
from typing import Final

from actors.listener.exchange import Exchange
from actors.listener.gateway_calls import GatewayCall
from actors.listener.gateway_exchange import Host, Settings, refuse
from actors.listener.gateway_streams import GatewayStream
from actors.listener.http_router import ANY, NO_SNIFF, PIECES, PLAIN_TEXT, WHOLE, Route
from etcdz import limits
from etcdz.api.errors import Code
from etcdz.config import MemberConfig
from etcdz.gateway.routes import BETA_PREFIX, CLIENT_STREAM, METHODS, PREFIX, SERVER_STREAM, UNARY, GatewayMethod
from etcdz.wire.request_head import decode_timeout

_METADATA: Final = b"grpc-metadata-"
_METADATA_BYTES: Final = len(_METADATA)
_COMMON_NAME: Final = (
    b"CommonName of client sending a request against gateway will be ignored and not used as expected\n"
)


class Gateway:
    """Of one listener."""

    def __init__(self, host: Host, config: MemberConfig) -> None:
        self._identities = host.identities
        self._settings = Settings(host, config.max_request_bytes + limits.RECEIVE_OVERHEAD_BYTES)

    def routes(self) -> list[Route]:
        """For the listener's router."""
        exact = [
            Route(path, partial(self._serve, method), (b"POST",), body=PIECES if _is_stream(method) else WHOLE)
            for path, method in METHODS.items()
        ]
        return exact + [Route(prefix, self._answer_unknown, ANY, is_prefix=True) for prefix in (PREFIX, BETA_PREFIX)]

    def _serve(self, method: GatewayMethod, exchange: Exchange) -> None:
        if self._refuses_certificate(exchange):
            return
        headers = exchange.request.headers
        timeout_s = None
        if (timeout := headers.get(b"grpc-timeout")) is not None:
            timeout_s = decode_timeout(timeout)  # NB: 0 is none, as in etcd
            if timeout_s is None:
                refuse(exchange, Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {timeout.decode('latin-1')}")
                return
        metadata = {
            name.removeprefix(_METADATA): headers[name]
            for name in headers
            if name[:_METADATA_BYTES] == _METADATA or name == b"authorization"
        }
        call = (GatewayCall if method.kind == UNARY else GatewayStream)(self._settings, method, exchange)
        call.begin(metadata, timeout_s or None)

    def _answer_unknown(self, exchange: Exchange) -> None:
        if not self._refuses_certificate(exchange):
            exchange.answer(404, b"Not Found\n", PLAIN_TEXT, NO_SNIFF)

    def _refuses_certificate(self, exchange: Exchange) -> bool:
        """Whether the client, which has been told so, takes its certificate's name for its user's."""
        if exchange.common_name and self._identities.enabled:
            exchange.answer(400, _COMMON_NAME, PLAIN_TEXT, NO_SNIFF)
            return True
        return False


def _is_stream(method: GatewayMethod) -> bool:
    return method.kind in (SERVER_STREAM, CLIENT_STREAM)
