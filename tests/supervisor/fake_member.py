"""Runs a member whose tree comes as JSON: `python -m tests.supervisor.fake_member DATA_DIR ROWS`."""

import json
import sys

from etcdz.config import MemberConfig
from supervisor.member import run
from supervisor.restart import Intensity, Restart, Strategy
from supervisor.tree import ChildSpec


def spec(fields: dict[str, object]) -> ChildSpec:
    fields = {"kind": "tests.supervisor.fakes.speaker", **fields}
    if "intensity" in fields:
        fields["intensity"] = Intensity(*fields["intensity"])  # type: ignore[misc]
    if "restart" in fields:
        fields["restart"] = Restart(str(fields["restart"]))
    if "strategy" in fields:
        fields["strategy"] = Strategy(str(fields["strategy"]))
    if "cpus" in fields:
        fields["cpus"] = tuple(fields["cpus"])  # type: ignore[arg-type]
    return ChildSpec(**fields)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(run(MemberConfig(data_dir=sys.argv[1]), tuple(spec(fields) for fields in json.loads(sys.argv[2]))))
