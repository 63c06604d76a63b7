"""TLS on a blocking socket, for who dials: a snapshot's process, a member that starts, the command line tools."""

import socket
import ssl
import threading

from etcdz.tls.contexts import TlsError
from etcdz.tls.files import TlsFiles
from etcdz.tls.handshake_errors import handshake_error


class TlsDialler:
    """Connections of one side as a client; for several threads at once."""

    def __init__(self, files: TlsFiles, alpn: tuple[str, ...] = ()) -> None:
        """alpn: protocols that are offered"""
        self._files = files
        self._alpn = list(alpn)
        self._lock = threading.Lock()

    def wrap(self, connection: socket.socket, host: str) -> ssl.SSLSocket:
        """The same connection under TLS; closed if that fails.

        host    that was dialled: the certificate must be for it, unless the settings name another
        raises  OSError: the handshake has failed, or the other end's certificate is refused, in etcd's words
        """
        try:
            return self._wrap(connection, self._files.settings.server_name or host)
        except BaseException:
            connection.close()
            raise

    def context(self) -> ssl.SSLContext:
        """For a connection in an event loop. raises OSError: a file is no good"""
        with self._lock:
            try:
                context = self._files.client_context()
            except TlsError as error:
                raise OSError(str(error)) from error
            if self._alpn:
                context.set_alpn_protocols(self._alpn)
            return context

    def _wrap(self, connection: socket.socket, server_name: str) -> ssl.SSLSocket:
        context = self.context()
        try:
            secure = context.wrap_socket(connection, server_hostname=server_name)
            with self._lock:
                refusal = self._files.check_certificate(secure)
        except ssl.SSLError as error:
            raise OSError(handshake_error(error).text) from error
        if refusal is not None:
            secure.close()
            raise OSError(refusal)
        return secure
