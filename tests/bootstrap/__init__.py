"""How a member finds out who it is, against other members that are made up."""
