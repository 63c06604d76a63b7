"""Ordered rows on a disk: LevelDB, and the same in memory."""
