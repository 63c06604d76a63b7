"""How a member finds out who it is, and whom it begins with, when it starts for the first time.

Nothing of the member runs yet, so that all of this may wait: for other members (`requests`), for a discovery service,
for name servers. Whoever calls it does so in a thread that it can leave behind, and each wait has its end.
`deciding.decide` is the whole of it; its answer is an `etcdz.cluster.founding.Founding`.

    requests        one HTTP request to another member, with a strict time limit
    other_members   what members of a running cluster say: who they all are, which versions they are of
    deciding        found a cluster, or join one: etcd's checks in etcd's order
"""
