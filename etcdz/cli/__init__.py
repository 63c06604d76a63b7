"""Front doors for people: `etcdz`, `etcdzctl`, `etcdzutl`."""
