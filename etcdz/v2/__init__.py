"""etcd's v2 API: its store, what a log entry does to it, and what clients ask and are answered. No clock, no socket.

store.py            the tree, and what may be done with it
watchers.py         who waits for what; history.py: the last 1,000 events
listing.py          what a get has found, written in pieces; frozen_tree.py: the tree as it was when that began
applying.py         an entry of the log on the store
cluster_nodes.py    the membership as nodes of the store
snapshot.py         the store as a .snap holds it; rows.py: as the backend's store holds it
key_request.py      a request for keys; answers.py: what comes of it; member_request.py: one about members
member_statistics.py  what is told of a member; append_statistics.py: counts of what members send each other
auth_records.py     users and roles; auth_store.py: what is done with them; auth_access.py: who may; auth_requests.py
"""
