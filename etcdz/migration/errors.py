"""Why a data directory cannot be used as it is."""


class MigrationError(Exception):
    """The text is for the user: it names what was found, where, and the way out."""
