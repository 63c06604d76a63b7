"""Who has a place, and who is next."""

from etcdz.cli.grpc_proxy.turns import Turns


def test_those_that_wait_have_their_turn_client_by_client() -> None:
    begun: list[str] = []
    turns: Turns[str] = Turns(begun.append, 1)
    for client, what in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1")):
        turns.take(client, what)
    assert begun == ["a1"]
    assert turns.forget("c") == ["c1"]
    for _ in range(4):
        turns.give_back()
    assert begun == ["a1", "a2", "b1", "a3"]
    assert turns.places == 1
    assert turns.forget("a") == []
