"""Members that a Python program runs for itself, as child processes.

    with etcdz.embed.Member() as member:              # fresh data in a temporary directory, a port of its own
        client = connect(member.endpoints)
        member.actors.restart("wal")

    with etcdz.embed.Member(data_dir="/var/lib/app/etcd", listen_client="unix:///run/app.sock", snapshot_count=5_000):
        ...

    with etcdz.embed.Cluster(3) as cluster:
        cluster["m0"].kill()

`etcdz.embed.aio` has the same for asyncio. The map:

    member.py       Member
    cluster.py      Cluster
    aio.py          both, for asyncio
    actors.py       orders to the actors of a member
    entered.py      `with` and `async with` of both
    settings.py     keyword arguments -> flags
    process.py      the child process: readiness, its end
    log_lines.py    its log -> `logging`
    ports.py        ports that nobody else gets

The program is tied to nothing: signals, threads, fork and event loops of the host are its own. A member stops when its
host has ended, however that went.
"""

from etcdz.control.client import Refused
from etcdz.embed.actors import Actors
from etcdz.embed.cluster import Cluster
from etcdz.embed.member import Member
from etcdz.embed.process import MemberFailed

__all__ = ["Actors", "Cluster", "Member", "MemberFailed", "Refused"]
