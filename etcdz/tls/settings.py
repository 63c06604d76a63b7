"""What the flags say of TLS for one of a member's two sides: the one of clients, or the one of other members."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

TLS_VERSIONS: Final = ("TLS1.2", "TLS1.3")
"""Ascending, also as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """One side, as a server and as a client. Paths and words only: msgpack carries it, and no secret is in it.

    The side of clients is used as a client when the member calls itself, the side of members when it dials others;
    commands and discovery have one that is a client alone. Source: etcd 3.5 transport.TLSInfo.
    """

    cert_file: str = ""
    key_file: str = ""
    client_cert_file: str = ""
    """Shown instead of cert_file when this side is the client; empty: cert_file."""
    client_key_file: str = ""
    trusted_ca_file: str = ""
    """PEM bundle that certificates of the other end must come from; empty: the system's roots."""
    client_cert_auth: bool = False
    """--client-cert-auth itself. NB: ask demands_certificate whether one is demanded; a login by CN needs this one."""
    crl_file: str = ""
    allowed_cns: tuple[str, ...] = ()
    """The verified leaf must have one of these common names; empty: any."""
    allowed_hostnames: tuple[str, ...] = ()
    """Or must be valid for one of these host names; empty: for any. Invariant: not both."""
    cipher_suites: tuple[str, ...] = ()
    """Go's names, checked; of TLS 1.2 alone. Empty: Go's default."""
    min_version: str = "TLS1.2"
    max_version: str = ""
    """Empty: the newest that is known."""
    skip_client_san: bool = False
    """Whether addresses in certificates of other members are not compared with where they come from."""
    server_name: str = ""
    """Name that certificates of others are checked against; empty: the host that is dialled."""
    is_self_signed: bool = False
    """Whether the certificate was made by this member: as a client it then verifies nobody."""
    insecure_skip_verify: bool = False
    """Whether a client verifies nobody because the user says so."""

    @property
    def has_certificate(self) -> bool:
        """Whether https can be served."""
        return bool(self.cert_file and self.key_file)

    @property
    def is_empty(self) -> bool:
        """Whether neither certificate nor key is given."""
        return not (self.cert_file or self.key_file)

    @property
    def demands_certificate(self) -> bool:
        """Whether a client must show a certificate: a CA alone demands it too, as in etcd."""
        return self.client_cert_auth or bool(self.trusted_ca_file)

    def __str__(self) -> str:
        """As etcd's log has it."""
        return (
            f"cert = {self.cert_file}, key = {self.key_file}, client-cert={self.client_cert_file}, "
            f"client-key={self.client_key_file}, trusted-ca = {self.trusted_ca_file}, "
            f"client-cert-auth = {str(self.client_cert_auth).lower()}, crl-file = {self.crl_file}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TlsSettings":
        """Back from to_dict(), also after msgpack has made lists of the tuples. Unknown names are left out."""
        known = {field.name for field in fields(cls)}
        own: dict[str, Any] = {}
        for name in known & values.keys():
            own[name] = tuple(values[name]) if isinstance(values[name], list) else values[name]
        return cls(**own)


NO_TLS: Final = TlsSettings()
"""Of a side without certificates."""
