"""The wal actor: the log on disk."""
