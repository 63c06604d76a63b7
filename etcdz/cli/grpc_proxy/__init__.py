"""`etcdz grpc-proxy`: a proxy in front of a cluster that speaks gRPC, and takes work off it.

It is one process with one event loop. What clients ask goes to the members by the client library's core
(etcdz/client), which picks a connection, fails over, and sends again what may be sent again; a caller's token goes with
each call. Messages are handed on as they are, but for those of keys, which have to be read.

command.py        flags, checks, and the start
settings.py       what the flags come to
process.py        what all connections share; sockets, the loop, the end
connection.py     one client's connection
callers.py        what a call says of who asks
calls.py          calls with one answer, on their way
turns.py          which of those with large answers is next
key_calls.py      what is to be read of those about keys: cache and namespace
range_cache.py    answers to serializable ranges, until a write touches them
ordering.py       reads that never go back
namespace.py      keys with a prefix and without
client_watches.py one client's Watch stream
shared_watches.py the watches at the cluster, each for many clients
keep_alives.py    leases that are kept alive, one stream for all who ask
pass_through.py   streams from the cluster to one client, no faster than it reads
members.py        what MemberList answers, and this proxy's registration
http_paths.py     /metrics, /health, and their like
figures.py        what it counts
"""

from etcdz.cli.grpc_proxy.command import main

__all__ = ["main"]
