"""The listener: client connections and their calls."""
