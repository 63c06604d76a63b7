"""The supervisor's own loop, sockets and directories."""
