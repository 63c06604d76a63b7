"""The actors as the supervisor sees them: states, orders, sockets and CPUs. Pure."""
