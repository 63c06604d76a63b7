"""Requests of people and programs to the control socket of a member on this host."""
