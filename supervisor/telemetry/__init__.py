"""What the supervisor knows of its actors: heartbeats, recorders, deaths, figures."""
