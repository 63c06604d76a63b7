"""Bytes of frames that have not come completely."""


class FrameBuffer:
    """Keeps pieces apart until there are as many bytes as wanted, so that a large frame is put together once."""

    __slots__ = ("_bytes", "_pieces", "_wanted")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._wanted = 1

    def add(self, data: bytes) -> bytes:
        """All that has not been used, if it is as much as wanted; else b''."""
        if not self._pieces and len(data) >= self._wanted:
            return data
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes < self._wanted:
            return b""
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._bytes = 0
        return joined

    def keep(self, rest: bytes, wanted: int) -> None:
        """rest was not used: it goes on when there are `wanted` bytes, counted from its beginning.

        Requires: add has returned something, and nothing was kept since
        """
        self._wanted = max(wanted, 1)
        if rest:
            self._pieces.append(rest)
            self._bytes = len(rest)
