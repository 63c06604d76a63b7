"""Who keeps the actors alive: spawn, watch, restart, stop, place, answer the monitor. Begin with `tree.py`."""
