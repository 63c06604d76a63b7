"""The raft actor: drives the consensus core."""
