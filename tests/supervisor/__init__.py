"""The supervisor: pure tables, and real process trees of small fake actors."""
