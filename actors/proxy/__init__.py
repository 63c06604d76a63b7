"""The proxy actor: what `--proxy` runs in the place of a member.

actor.py        accepts clients, and asks now and then who the members are
client.py       one client's connection: HTTP/1.1 of etcdz.wire, one request after the other
upstream.py     one request at one member: HTTP/1.1 of etcdz.peer
endpoints.py    which members are asked, and in which order

Source: etcd 3.5 proxy/httpproxy
"""
