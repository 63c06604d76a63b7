"""The flight recorders of the actors, by incarnation: files in memory that outlive the process that writes them."""

from etcdz.telemetry import logs
from etcdz.telemetry.flight import Box

log = logs.get("supervisor")


class Recorders:
    """Opened with each spawn, closed once the process is gone and what it left is read."""

    def __init__(self) -> None:
        self._boxes: dict[int, Box] = {}

    def open(self, name: str, incarnation: int) -> str:
        """A new recorder. return the path that the actor opens; "" if there is no memory for it"""
        self.close(incarnation)
        try:
            box = self._boxes[incarnation] = Box(name)
        except OSError as error:
            log.warn("no flight recorder for an actor", child=name, error=str(error))
            return ""
        return box.path

    def box(self, incarnation: int) -> Box | None:
        """To read from; None if it has none, or is closed."""
        return self._boxes.get(incarnation)

    def close(self, incarnation: int) -> None:
        """Give its memory back; one that is closed already is no error."""
        box = self._boxes.pop(incarnation, None)
        if box is not None:
            box.close()

    def close_all(self) -> None:
        """The member ends."""
        for incarnation in list(self._boxes):
            self.close(incarnation)
