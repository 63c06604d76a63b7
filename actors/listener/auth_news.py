"""What this listener knows of users, roles and simple tokens, as its backend has told it."""

from etcdz.auth.access import Access
from etcdz.ipc.messages import AuthState, AuthTokens, TokensUsed


class AuthNews:
    """access          who may do what
    owners          simple token -> name of its user
    used            tokens that were used here since the backend was told: they live on by that
    applied_index   of the entry up to which all this holds, at least
    is_told         whether the backend has said anything at all
    takes_asker     incarnation of the backend, if it knows Read.asker; else 0
    """

    __slots__ = ("access", "applied_index", "is_told", "owners", "takes_asker", "used")

    def __init__(self) -> None:
        self.access = Access()
        self.owners: dict[str, str] = {}
        self.used: set[str] = set()
        self.applied_index = 0
        self.is_told = False
        self.takes_asker = 0

    def on_state(self, message: AuthState) -> None:
        self.is_told = True
        self.takes_asker = message.incarnation if message.takes_asker else 0
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

    def take_used(self) -> TokensUsed | None:
        """What is to be said to the backend, a few times in the life of a token; None: nothing."""
        if not self.used:
            return None
        used, self.used = self.used, set()
        return TokensUsed(list(used))
