"""A data directory of etcd becomes one of etcdz, or the other way round: for `etcdzutl migrate`, and before a start.

inventory.py     what lies in a data directory, and what a member's start has to do first
directories.py   the order of renames by which the new member directory takes the old one's place
conversion.py    builds the new member directory
log_state.py     what its log says
"""
