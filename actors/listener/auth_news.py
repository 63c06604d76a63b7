"""What this listener knows of users, roles and simple tokens, as its backend has told it."""

from etcdz.auth.access import Access
from etcdz.ipc.messages import AuthState, AuthTokens, TokensUsed


class AuthNews:
    """access          who may do what
    owners          simple token -> name of its user
    applied_index   of the entry up to which all this holds, at least
    """

    __slots__ = ("_used", "access", "applied_index", "owners")

    def __init__(self) -> None:
        self.access = Access()
        self.owners: dict[str, str] = {}
        self.applied_index = 0
        self._used: set[str] = set()

    def on_state(self, message: AuthState) -> None:
        self.access = Access.decode(message.enabled, message.revision, message.users, message.roles)
        self.applied_index = max(self.applied_index, message.applied_index)

    def on_tokens(self, message: AuthTokens) -> None:
        owners = self.owners
        if message.dropped is None:
            owners.clear()
        else:
            for token in message.dropped:
                owners.pop(token, None)
        owners.update(message.added)
        self.applied_index = max(self.applied_index, message.applied_index)

    def owner_of(self, token: str) -> str | None:
        """The user that a token is of; it lives on by this. None: it is not known here."""
        owner = self.owners.get(token)
        if owner is not None:
            self._used.add(token)
        return owner

    def take_used(self) -> TokensUsed | None:
        """What is to be said to the backend, a few times in the life of a token; None: nothing."""
        if not self._used:
            return None
        used, self._used = self._used, set()
        return TokensUsed(list(used))
