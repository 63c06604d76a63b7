"""What the monitor shows, as a pure core: samples of `ps` in, a view out; no terminal, no clock, no socket.

    sample.py   one answer to `ps`, typed, whatever it lacks
    view.py     two samples -> rates; many -> history and events; the flow of requests through the actors
    text.py     a view as lines of text for a terminal of a given size

One `History` for each member: several members side by side are several of them.
"""
