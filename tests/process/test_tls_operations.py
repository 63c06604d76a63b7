"""Orders under load while clients come by TLS, with certificates: no client sees an error.

A session cannot move to another process: the old listener lets its calls finish, and clients shake hands elsewhere.
"""

from pathlib import Path

import pytest

from tests.process.test_operations import go_on, order
from tests.process.trial import Trial
from tests.secure_members import SecureEtcdz, make_pki

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(300)]


def test_listeners_are_restarted_gracefully_and_scaled_without_an_error(
    tmp_path: Path, seed: int, is_long: bool
) -> None:
    pki = make_pki(tmp_path / "pki")
    flags = [f"--cert-file={pki.server.cert}", f"--key-file={pki.server.key}", "--listeners=1", "--client-cert-auth"]
    flags += [f"--trusted-ca-file={pki.authority.ca}", f"--client-crl-file={pki.crl}"]
    member = SecureEtcdz(tmp_path, *flags)
    member.ca, member.own = pki.authority.ca, pki.alice
    with member:
        trial = Trial(member, seed)
        with trial.load(clients=16, channels=8, long_running=True) as load:
            for _ in range(6 if is_long else 1):
                trial.random_moment(load)
                order(trial, "restart", "listener-1", "--graceful")
                go_on(load)
                for count in (2, 1):
                    order(trial, "scale", f"listener={count}")
                    go_on(load)
        print(f"longest stall {round(load.longest_stall_s() * 1000)} ms, {trial.verify()}")
        assert trial.record.errors() == []
        assert member.rejections() == []
