"""What the proxy tells of itself on /proxy/metrics."""

from collections.abc import Iterable

from etcdz.cli.grpc_proxy.range_cache import RangeCache
from etcdz.cli.grpc_proxy.shared_watches import SharedWatches
from etcdz.telemetry import metrics
from etcdz.telemetry.call_figures import call_figures
from etcdz.wire.call_tally import CallTally
from etcdz.wire.server import GrpcServerConnection
from supervisor.telemetry.metrics import use_of_all


def encode(
    began_s: float, tally: CallTally, living: Iterable[GrpcServerConnection], cache: RangeCache, watches: SharedWatches
) -> bytes:
    """The text that Prometheus reads. began_s: the start of this process, on the monotonic clock"""
    use = metrics.ProxyUse(
        cache_hits=cache.hits,
        cache_keys=len(cache),
        cache_misses=cache.misses,
        events_coalesced=watches.coalesced,
        watchers_coalesced=watches.receivers_coalesced,
    )
    return metrics.encode(use_of_all((), began_s), [call_figures(tally, living)], proxy=use)
