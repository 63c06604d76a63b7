"""Keeps the actors alive: spawns, watches, restarts, stops and places them, and answers people's requests.

Read first, in this order:

    tree.py       the child specs: what runs, how many of it, by which rules
    restart.py    what to do about an actor that has ended
    rules.py      what --actor-rules changes in the child specs
    member.py     a member from its start to its end: where all parts are put together

Imports only go down (a contract in pyproject.toml holds them to it):

    member        puts everything together
    rules         text -> child specs
    control/      requests of people: the control socket and its verbs, one file per group
    runtime/      the loop, the member that loop and verbs work on (context.py), sockets, signals, data directory
    telemetry/    what is known of the inside of actors: heartbeats, queries, deaths, metrics, events
    children/     the actors as a pure core: states, orders, slots, accept balancing, placement
    processes/    the zygote and its processes, what the kernel says of them
    tree          child specs, checked
    restart       the restart decision, pure
"""
