"""What the listeners hear of users, roles and simple tokens: all of it when they begin, and each change before the
reply to whoever has made it."""

from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from etcdz.auth.store import AuthStore
from etcdz.auth.tokens import TokenTable
from etcdz.ipc.messages import AuthState, AuthTokens


class AuthNews:
    """Sends AuthState and AuthTokens. NB: those of one turn leave in one frame, with the next flush: who says that it
    has heard of an index has heard all of it."""

    __slots__ = ("_auth", "_incarnation", "_links", "_raft", "_tokens")

    def __init__(self, links: Links, auth: AuthStore, tokens: TokenTable, raft: RaftLink, incarnation: int) -> None:
        self._links = links
        self._auth = auth
        self._tokens = tokens
        self._raft = raft
        self._incarnation = incarnation

    def greet(self, name: str) -> None:
        """A listener has begun. Requires: what is applied is committed"""
        self._links.send(name, self._state())
        added = list(self._tokens.owners.items())
        self._links.send(name, AuthTokens(self._incarnation, self._raft.applied_index, None, added))

    def tell(self) -> None:
        """Users, roles, or whether they are asked for, have changed. Requires: the change is committed"""
        self._to_all(self._state())

    def tell_tokens(self) -> bool:
        """The same for tokens. return whether some are gone"""
        dropped, added = self._tokens.take_news()
        self._to_all(AuthTokens(self._incarnation, self._raft.applied_index, dropped, added))
        return dropped != []

    def _to_all(self, message: AuthState | AuthTokens) -> None:
        for peer in self._links.of_kind("listener"):
            self._links.send(peer.name, message)

    def _state(self) -> AuthState:
        access = self._auth.access
        users = access.roles_of.items() if access.enabled else ()
        roles = access.permissions_of.items() if access.enabled else ()
        return AuthState(
            self._incarnation,
            self._raft.applied_index,
            access.enabled,
            access.revision,
            [(name, list(held)) for name, held in users],
            [(name, list(permissions)) for name, permissions in roles],
            True,
        )
