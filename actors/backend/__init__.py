"""The backend actor: the key-value store."""
