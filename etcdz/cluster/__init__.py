"""The members of a cluster: ids, membership, versions."""
