"""Spans of a member's calls, as a collector receives them over OTLP/gRPC."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz
from tests.parity.json_calls import Gateway
from tests.process.load import open_channel, unary

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "vendor=1"))
UNSAMPLED = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)
FLAGS = (
    "--experimental-enable-distributed-tracing",
    "--experimental-distributed-tracing-service-name=kv",
    "--experimental-distributed-tracing-instance-id=one",
)


class Collector(otlp_grpc.TraceServiceServicer):
    """Keeps what is exported to it."""

    def __init__(self) -> None:
        self.resources: list[dict[str, Any]] = []
        self._spans: list[Span] = []
        self._changed = threading.Condition()

    def Export(self, request: otlp.ExportTraceServiceRequest, context: grpc.ServicerContext) -> Any:
        with self._changed:
            for one in request.resource_spans:
                self.resources.append(attributes_of(one.resource))
                self._spans += [span for scope in one.scope_spans for span in scope.spans]
            self._changed.notify_all()
        return otlp.ExportTraceServiceResponse()

    def wait(self, count: int) -> list[Span]:
        """So many spans, in the order in which they began."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._spans) >= count, 120), self._spans
            return sorted(self._spans, key=lambda span: span.start_time_unix_nano)


def attributes_of(one: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in one.attributes}


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    found = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    otlp_grpc.add_TraceServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found, f"127.0.0.1:{port}"
    server.stop(None)


def test_spans_are_those_that_etcd_makes(collector: tuple[Collector, str], tmp_path: Path) -> None:
    found, address = collector
    with Etcdz(tmp_path, *FLAGS, f"--experimental-distributed-tracing-address={address}") as member:
        with open_channel(member.target) as channel:
            _ask(channel)
        member.stop()
    put, late, watch = found.wait(3)
    for span in (put, late, watch):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.kind == Span.SPAN_KIND_SERVER
        assert span.trace_state == "vendor=1"
        assert span.start_time_unix_nano < span.end_time_unix_nano
    assert [span.name for span in (put, late, watch)] == [
        "etcdserverpb.KV/Put",
        "etcdserverpb.KV/Range",
        "etcdserverpb.Watch/Watch",
    ]
    shown = attributes_of(put)
    assert shown.pop("net.sock.peer.port") > 0
    assert shown == {
        "rpc.system": "grpc",
        "rpc.service": "etcdserverpb.KV",
        "rpc.method": "Put",
        "net.sock.peer.addr": "127.0.0.1",
        "rpc.grpc.status_code": 0,
    }
    assert attributes_of(late)["rpc.grpc.status_code"] == grpc.StatusCode.OUT_OF_RANGE.value[0]
    assert attributes_of(watch)["rpc.grpc.status_code"] == grpc.StatusCode.CANCELLED.value[0]
    assert {span.status.code for span in (put, late, watch)} == {Status.STATUS_CODE_UNSET}
    assert found.resources[0] == {"service.name": "kv", "service.instance.id": "one"}
    assert len(found.wait(3)) == 3, "neither calls whose parent is not sampled, nor at rate 0 those without one"


def test_calls_and_streams_of_the_gateway_have_spans(collector: tuple[Collector, str], tmp_path: Path) -> None:
    found, address = collector
    with Etcdz(tmp_path, *FLAGS, f"--experimental-distributed-tracing-address={address}") as member:
        gateway = Gateway(member.target)
        gateway.call("/v3/kv/put", '{"key":"YQ=="}')
        gateway.call("/v3/kv/put", '{"key":"YQ=="}', {"traceparent": SAMPLED[0][1]})
        gateway.call("/v3/kv/range", '{"key":"YQ==","revision":99}', {"Grpc-Metadata-Traceparent": SAMPLED[0][1]})
        gateway.call("/v3/lease/keepalive", '{"ID":1}{"ID":2}', {"traceparent": SAMPLED[0][1]})
        gateway.stream("/v3/watch", '{"create_request":{"key":"YQ=="}}', 1, {"traceparent": SAMPLED[0][1]})
        spans = found.wait(4)
        gateway.close()
        member.stop()
    assert [(span.name, attributes_of(span)["rpc.grpc.status_code"]) for span in spans] == [
        ("etcdserverpb.KV/Put", 0),
        ("etcdserverpb.KV/Range", grpc.StatusCode.OUT_OF_RANGE.value[0]),
        ("etcdserverpb.Lease/LeaseKeepAlive", 0),
        ("etcdserverpb.Watch/Watch", grpc.StatusCode.CANCELLED.value[0]),
    ]
    assert {attributes_of(span)["net.sock.peer.addr"] for span in spans} == {"127.0.0.1"}
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in spans} == {(TRACE, PARENT)}


def _ask(channel: grpc.Channel) -> None:
    put = unary(channel, "KV/Put", pb.PutResponse)
    put(pb.PutRequest(key=b"a"), timeout=60, wait_for_ready=True)
    put(pb.PutRequest(key=b"a"), timeout=60, metadata=SAMPLED)
    put(pb.PutRequest(key=b"a"), timeout=60, metadata=UNSAMPLED)
    with suppress(grpc.RpcError):
        get = unary(channel, "KV/Range", pb.RangeResponse)
        get(pb.RangeRequest(key=b"a", revision=99), timeout=60, metadata=SAMPLED)
    watch = channel.stream_stream(
        "/etcdserverpb.Watch/Watch", lambda m: m.SerializeToString(), pb.WatchResponse.FromString
    )
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a"))
    stream = watch(iter([create]), timeout=60, metadata=SAMPLED)
    assert next(stream).created
    stream.cancel()
