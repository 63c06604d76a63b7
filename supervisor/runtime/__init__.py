"""The running member: its loop, its parts, its sockets, its files."""
