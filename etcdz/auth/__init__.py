"""Users, roles and what they may do: the auth store of etcd as applied state, and the checks of requests against it.

    intervals.py     unions of key ranges
    access.py        who may do what: shared by the backend, which judges, and the listeners, which refuse early
    calls.py         what is decided at the door, by method
    requests.py      what is decided where keys are touched: puts, deletes, transactions, leases
    store.py         users, roles, revision, and their rows; what each management call does
    tokens.py        simple tokens: whose they are, and how long they live
    questions.py     what listeners ask the backend about users

All of it is pure. Source: etcd 3.5 server/auth, and its newest release where that differs.
"""
