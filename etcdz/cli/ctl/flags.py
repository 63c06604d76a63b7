"""The flags that every command has, and that have variables."""

from typing import Final

from etcdz.cli.command_tree import Flag
from etcdz.cli.ctl.numbers import seconds

GLOBAL: Final = (
    Flag("auth-jwt-token", "JWT token used for authentication, in place of --user and --password"),
    Flag("cacert", "verify certificates of TLS-enabled secure servers using this CA bundle"),
    Flag("cert", "identify secure client using this TLS certificate file"),
    Flag("command-timeout", "timeout for short running command (excluding dial timeout)", "5s", check=seconds),
    Flag("debug", "enable client-side debug logging", is_bool=True),
    Flag("dial-timeout", "dial timeout for client connections", "2s", check=seconds),
    Flag("discovery-srv", "domain name to query for SRV records describing cluster endpoints", short="d"),
    Flag("discovery-srv-name", "service name to query when using DNS discovery"),
    Flag("endpoints", "gRPC endpoints", "127.0.0.1:2379", is_list=True),
    Flag("hex", "print byte strings as hex encoded strings", is_bool=True),
    Flag("insecure-discovery", "accept insecure SRV records describing cluster endpoints", "true", is_bool=True),
    Flag("insecure-skip-tls-verify", "skip server certificate verification (for tests only)", is_bool=True),
    Flag("insecure-transport", "disable transport security for client connections", "true", is_bool=True),
    Flag("keepalive-time", "keepalive time for client connections", "2s", check=seconds),
    Flag("keepalive-timeout", "keepalive timeout for client connections", "6s", check=seconds),
    Flag("key", "identify secure client using this TLS key file"),
    Flag("password", "password for authentication (if it is used, --user shouldn't include a password)"),
    Flag("user", "username[:password] for authentication (prompt if password is not supplied)"),
    Flag("write-out", "set the output format (fields, json, protobuf, simple, table)", "simple", short="w"),
)
