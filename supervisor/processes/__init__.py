"""Processes: the fork server, what a process uses."""
