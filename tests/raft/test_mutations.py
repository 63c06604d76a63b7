"""Every planted bug is caught, and is still where it is said to be."""

import random

import pytest

from tests.raft.mutations import SEEDS, SEEDS_SHORT, examine_all, mutated, table
from tests.raft.planted import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_text_to_replace_is_in_its_file(mutation: Mutation) -> None:
    compile(mutated(mutation), mutation.file, "exec")


def test_a_text_that_is_gone_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 times"):
        mutated(MUTATIONS[0]._replace(text="not there"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_planted_bug_is_caught(request: pytest.FixtureRequest) -> None:
    """The usual form takes a sixth of them, which the run's seed draws."""
    is_long = bool(request.config.getoption("--long"))
    drawn = MUTATIONS if is_long else random.sample(MUTATIONS, len(MUTATIONS) // 6)
    results = examine_all(drawn, SEEDS if is_long else SEEDS_SHORT, short=not is_long)
    print(table(results))
    missed = [one.mutation.name for one in results if not one.by_anything]
    assert not missed
    if is_long:
        assert sum(1 for one in results if one.simulation) >= len(results) // 2
