"""The revisioned key-value core: `Mvcc` over a `Store`, and `Applier`, which turns raft entries into changes of it.

Nothing here knows of processes, sockets or clocks; only `leveldb.py` touches a disk.
"""
