"""Places for calls whose answers may be large: so many at a time, and those that wait have their turn client by client.

Large answers that come in together are all held in part.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

PLACES: Final = 32
T = TypeVar("T")


class Turns(Generic[T]):
    """begin: told what has a place now, which it holds until `give_back`; places: that are free"""

    def __init__(self, begin: Callable[[T], object], places: int = PLACES) -> None:
        self.places = places
        self._begin = begin
        self._waiting: OrderedDict[Hashable, deque[T]] = OrderedDict()

    def take(self, client: Hashable, what: T) -> None:
        if self.places:
            self.places -= 1
            self._begin(what)
        else:
            self._waiting.setdefault(client, deque()).append(what)

    def give_back(self) -> None:
        if not self._waiting:
            self.places += 1
            return
        client, waiting = self._waiting.popitem(last=False)
        what = waiting.popleft()
        if waiting:
            self._waiting[client] = waiting
        self._begin(what)

    def forget(self, client: Hashable) -> list[T]:
        """return what was waiting, and is not begun any more"""
        return list(self._waiting.pop(client, ()))
