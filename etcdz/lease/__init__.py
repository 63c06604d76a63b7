"""Leases in time: the clocks of one member. Which leases there are, and their keys, is applied state (etcdz.mvcc)."""
