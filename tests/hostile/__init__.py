"""Hostile clients against a live member, with a victim beside them: what one client does must not reach another.

    pytest tests/hostile                          the short form, as in CI; a row of figures for each attack at its end
    pytest tests/hostile --long                   more requests, more data, longer attacks; etcd's row below each
    pytest tests/hostile --hostile-seed 7         repeat the random choices of a run (a test that fails prints its seed)
    pytest tests/hostile --hostile-requests 9999  so many mutated requests
    python -m tests.hostile --compare [NAME ...]  the table, each attack on a member of its own, and on etcd
    python -m tests.hostile.attack NAME TARGET    one attack on a member of your own; never on one that matters

Three processes take part in each attack, so that none waits for another's interpreter:

    the member      etcdz, then a real etcd for comparison (where it is installed)
    the victim      an ordinary client (victim.py): puts, linearizable gets, a watch and a lease
    the attacker    one function of the table in attack.py

siege.py brings them together and says what became of the victim and how much memory the member took. Asserted is what
must never happen: an error or a lost event of the victim, a call that waits while the member does much other work (in
seconds of CPU: time in which a machine was busy with others, or stood still, says nothing of the member), a process of
the member that ends, memory above a cap. Latencies are printed beside etcd's and not asserted: machines are noisy.

A new attack is a function and a row in `attack.ATTACKS`; the row says what it may cost.
"""
