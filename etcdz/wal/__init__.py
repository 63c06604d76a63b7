"""The durable side of a member: log segments, .snap files, and what they need of a disk.

record.py    one frame of a segment: bytes <-> values (pure)
segment.py   segment names, and which of them a start needs (pure)
offsets.py   where each entry lies, sparsely (pure)
scan.py      reading segments back: checks, and torn tails told from damage (pure)
log.py       the log itself: append, sync, cut, release, read
snap.py      .snap files
start.py     newest .snap that the log vouches for + the log from there: what a member starts with
files.py     what all of these ask of a disk; the real one is etcdz/store/disk.py
"""
