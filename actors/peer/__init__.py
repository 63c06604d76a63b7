"""The peer actor: HTTP/1.1 between the members of a cluster, around the cores of `etcdz.peer`."""
