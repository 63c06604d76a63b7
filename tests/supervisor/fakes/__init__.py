"""Small actors that say on stderr what happens to them, one JSON object a line."""
