"""All addresses of a member's clients: those of gRPC and HTTP, those of HTTP alone, and those of metrics."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from etcdz.config import MemberConfig
from etcdz.net.claim import Claim
from etcdz.net.listen_sockets import SOCKETS_PER_ADDRESS, ListenSockets

_METRICS_SOCKETS: Final = 1
"""Of one address: all listeners accept from it."""


class ClientAddresses:
    """Claimed from before the member's start to its end; a context manager.

    urls            by name of the setting: as given, but with the port that the kernel chose where port 0 was given
    listen_sockets  for listeners
    """

    def __init__(self, config: MemberConfig, has_listeners: bool) -> None:
        """has_listeners: otherwise there is nothing to claim. raises AddressError: as Claim, nothing is held then"""
        self._claims = ExitStack()
        grpc, http, metrics_urls = (
            (config.listen_client_urls, config.listen_client_http_urls, config.listen_metrics_urls)
            if has_listeners
            else ((), (), ())
        )
        try:
            clients = self._claim((*grpc, *http), config, SOCKETS_PER_ADDRESS)
            metrics = self._claim(metrics_urls, config, _METRICS_SOCKETS)
        except BaseException:
            self._claims.close()
            raise
        self.urls: dict[str, tuple[str, ...]] = {
            "listen_client_urls": clients.urls[: len(grpc)],
            "listen_client_http_urls": clients.urls[len(grpc) :],
            "listen_metrics_urls": metrics.urls,
        }
        self.listen_sockets: list[ListenSockets] = [*clients.listen_sockets, *metrics.listen_sockets]

    def _claim(self, urls: Sequence[str], config: MemberConfig, sockets: int) -> Claim:
        return self._claims.enter_context(Claim(urls, config.socket_reuse_port, sockets))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._claims.close()
