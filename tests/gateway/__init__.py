"""The JSON gateway without I/O (etcdz/gateway)."""
