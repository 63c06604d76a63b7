"""`etcdz gateway`: a TCP proxy in front of a cluster, for clients that know one address.

command.py     from the command line to a gateway that runs
discovery.py   which members there are, by SRV records
remotes.py     which of them a connection goes to, as a pure core
relay.py       the connections
"""

from etcdz.cli.gateway.command import main

__all__ = ["main"]
