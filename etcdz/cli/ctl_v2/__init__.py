"""`ETCDCTL_API=2 etcdzctl`: etcdctl 3.4's commands of the v2 API.

words.py      how a command line is read, and help
tree.py       the commands and their options
requests.py   HTTP requests, at one endpoint after the other
session.py    what a command has: its options, the variables, endpoints
keys.py       keys and directories
watching.py   watch, exec-watch
members.py    member ...
health.py     cluster-health
users.py      user, role, auth ...

Source: etcdctl 3.4.23 with ETCDCTL_API=2, looked at from outside and read for its texts.
"""
