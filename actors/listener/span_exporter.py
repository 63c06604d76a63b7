"""Exports spans to an OpenTelemetry collector over OTLP/gRPC: a process that a listener starts.

    python -m actors.listener.span_exporter <address> <service name> <instance id, or "">

    stdin    lists of rows, as tracing.py has them, in msgpack; when it ends, what has come is exported and this ends
    stdout   a byte when exports begin to fail

Names and attributes are those of etcd 3.5.33, whose interceptor follows version 1.17 of OpenTelemetry's conventions.
"""

import ipaddress
import os
import signal
import sys
from typing import Any, Final

import msgpack
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from actors.runtime.worker_process import NICE
from etcdz.api.errors import Code

READ_BYTES: Final = 64 << 10
EXPORT_S: Final = 10
_SCOPE: Final = InstrumentationScope("etcdz")
_FLAGS: Final = TraceFlags(TraceFlags.SAMPLED)
_FAULTS: Final = frozenset(
    (Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)
"""Codes by which a server says that it is at fault. Others leave the status of a span unset."""


def resource_of(service_name: str, instance_id: str) -> Resource:
    attributes = {"service.name": service_name}
    if instance_id:
        attributes["service.instance.id"] = instance_id
    return Resource(attributes)


def span_of(row: list[Any], resource: Resource) -> ReadableSpan:
    path, trace_id, span_id, parent_id, state, start_ns, end_ns, code, text, remote = row
    name = path.decode("utf-8", "replace").removeprefix("/")
    trace = int.from_bytes(trace_id, "big")
    states = TraceState.from_header([state.decode("latin-1")])
    context = SpanContext(trace, int.from_bytes(span_id, "big"), False, _FLAGS, states)
    parent = SpanContext(trace, int.from_bytes(parent_id, "big"), True, _FLAGS, states) if parent_id else None
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=_attributes(name, remote, code),
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR, text.decode("utf-8", "replace")) if code in _FAULTS else Status(),
        start_time=start_ns,
        end_time=end_ns,
        instrumentation_scope=_SCOPE,
    )


def _attributes(name: str, remote: str, code: int) -> dict[str, str | int]:
    service, _, method = name.rpartition("/")
    found: dict[str, str | int] = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    return found | _peer(remote) | {"rpc.grpc.status_code": code}


def _peer(remote: str) -> dict[str, str | int]:
    """Of a client on a unix socket there is nothing to say."""
    host, _, port = remote.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit():
        return {}
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return {"net.peer.name": host, "net.peer.port": int(port)}
    return {"net.sock.peer.addr": host, "net.sock.peer.port": int(port)}


def main(address: str, service_name: str, instance_id: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C: the listener ends first
    os.nice(NICE)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # not only where the listener is pinned
    exporter = OTLPSpanExporter(endpoint=address, insecure=True, timeout=EXPORT_S)
    resource = resource_of(service_name, instance_id)
    unpacker, has_failed = msgpack.Unpacker(), False
    while data := os.read(0, READ_BYTES):
        unpacker.feed(data)
        for rows in unpacker:
            result = exporter.export([span_of(row, resource) for row in rows])
            if result is not SpanExportResult.SUCCESS and not has_failed:
                os.write(1, b"!")
            has_failed = result is not SpanExportResult.SUCCESS
    exporter.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
