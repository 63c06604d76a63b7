"""`etcdz bench`: a load generator for etcdz and for any other etcd, modelled on etcd's own `benchmark` tool.

    options.py, endpoints.py    the command line
    workload.py                 what is asked: request bodies out of prepared pieces          (pure)
    supply.py                   which process sends which requests, and when they are due      (pure)
    caller.py                   one connection with its callers
    generator.py                one process: its connections, on one event loop
    team.py                     all processes: start, progress, stop
    watchers.py                 watch loads: one process, one event loop
    upkeep.py                   compaction meanwhile, hash afterwards
    report.py                   figures, as text or JSON                                      (pure)

It is built to cost little itself, because it often runs on the cores of the server that it measures: 6 to 9 us of CPU
a call under load.
"""

from etcdz.cli.bench.command import main

__all__ = ["main"]
