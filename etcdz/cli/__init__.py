"""The command line tools: `etcdz`, `etcdzctl`, `etcdzutl`."""
