"""The mark that etcd leaves in a store from 3.6 on: which version its rows are of."""

from typing import Final

MAX: Final = (3, 8)
"""Nothing in it has changed from 3.6 to 3.8. Source: etcd main, storage schema changes."""


def newer(row: bytes | None) -> str:
    """What is wrong with a store that has this row STORAGE_VERSION: it may mean anything; "": it is known here."""
    text = (row or b"").decode("ascii", "replace")
    numbers = tuple(
        int(part) if part.isdecimal() and len(part) < 10 else 1 << 31 for part in text.split(".")[:2] if text
    )
    if numbers <= MAX:
        return ""
    return f"is of storage version {text}, newer than {'.'.join(map(str, MAX))}, which this is for"
