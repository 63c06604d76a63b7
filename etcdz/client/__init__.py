"""A client library for etcd and etcdz: one core without I/O, a shell for threads and one for asyncio, the same names.

    import etcdz
    from etcdz.client import key, put, get

    with etcdz.connect("https://a:2379,b:2379", ca="ca.pem", user="u", password="p") as db:
        db.put("k", "v")
        db.get("k").text

    async with etcdz.client.aio.connect("a:2379") as db:
        await db.put("k", "v")

What it promises (docs/client.md says it at length):

- A call goes to one of the endpoints that are up, in turn. While none is, it waits; it fails with Unavailable after
  2.5 s in which none could be reached, or with DeadlineExceeded after its timeout (10 s unless said otherwise).
- A read is sent again for as long as that may help. A write is sent again only if the first surely was not applied;
  else its error has `maybe_applied` (etcdz/client/retries.py has the table).
- A login is made when first needed, and renewed once for all calls that its end has failed, watches included.
- A watch resumes where it stood, whatever happens to connections, or raises: Compacted if that is gone.
- A lease is kept alive until it is revoked, closed, or lost; then `lost` is set and `on_lost` called.
- An error of etcd is an exception of its own, all of them EtcdError.
- A client may be used by all threads; after a fork the child's begins anew. `close` ends its thread and connections.

Which file does what:

    core.py         endpoints, connections, calls in flight, retries; lines.py, retries.py, token.py beside it
    watches.py      watchers and their resumption; leases.py: keep-alives; streams.py: a streaming call
    requests.py     what is asked about keys; transactions.py, maintenance.py, snapshots.py; results.py: answers
    operations.py   of more than one call: locks, elections; pending.py, waiting.py: what they await
    stm.py          and queues.py, barriers.py, shared_locks.py, mirrors.py: recipes; namespaces.py: views
    threads.py      the client for threads, around reactor.py; aio.py: the one for asyncio, around loop.py;
                    thread_recipes.py, aio_recipes.py: their recipes

Nothing of this is loaded, protobuf neither, before the first name is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from etcdz.client import aio, errors
    from etcdz.client.errors import EtcdError
    from etcdz.client.results import Event, KeyValue
    from etcdz.client.threads import Client, connect
    from etcdz.client.transactions import delete, get, key, put, txn

_HOMES: Final = {
    "Client": "threads",
    "connect": "threads",
    "EtcdError": "errors",
    "Event": "results",
    "KeyValue": "results",
    "delete": "transactions",
    "get": "transactions",
    "key": "transactions",
    "put": "transactions",
    "txn": "transactions",
}


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first asked for."""
    home = _HOMES.get(name)
    if home is not None:
        found = getattr(import_module(f"{__name__}.{home}"), name)
    elif name in ("aio", "errors"):
        found = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


__all__ = [
    "Client",
    "EtcdError",
    "Event",
    "KeyValue",
    "aio",
    "connect",
    "delete",
    "errors",
    "get",
    "key",
    "put",
    "txn",
]
