"""The compactor actor: when to compact."""
