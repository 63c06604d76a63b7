"""Requests of people: the control socket, and its verbs by group."""
