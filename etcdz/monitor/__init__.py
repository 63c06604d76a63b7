"""What the monitor shows, as a pure core: samples of `ps` in, a view out; no terminal, no clock, no socket.

    sample.py   one answer to `ps`, typed, whatever it lacks
    view.py     two samples -> rates; many -> history and events; the flow of requests through the actors
    keys.py     what a key does: choices, pages, orders and the dialogs before them
    screen.py   the whole screen as lines; overview.py and detail.py are its parts, paint.py and measures.py their words

    members.py  several members side by side, from what each tells over the network

One `History` for each member that is looked into.
"""
