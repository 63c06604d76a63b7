"""What the Raft core costs: CPU time per entry, in batches. Prints; asserts nothing.

    python -m tests.bench.raft_cost [--entries 100000] [--batch 64] [--size 256] [--log 1000000]

one voter    propose_batch -> Ready -> storage append -> its responses -> committed entries out -> apply response
three        the same at the leader and both followers, messages handed over as objects; divided by three members
three, wire  with every message to a peer encoded and decoded on the way
long log     one voter again, on top of a log of many entries
The target is 4 us per entry for one voter and 8 us per entry and member for three. Best of several runs: the machine
is shared, and only the fastest run is about the code.
"""

import argparse
import gc
import random
import time
from collections.abc import Callable

from etcdz.raft import Config, ConfState, HardState, MemoryStorage, Message, RawNode, Snapshot
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.entry import make_entries
from etcdz.raft.messages import APPEND_THREAD, MSG_STORAGE_APPEND


class Member:
    """A node with its storage threads done in place."""

    def __init__(self, node: int, voters: tuple[int, ...], log_entries: int = 0) -> None:
        self.keep = log_entries or 1000
        self.storage = MemoryStorage()
        self.storage.apply_snapshot(Snapshot(1000, 1, ConfState(voters)))
        if log_entries:
            self.storage.append(make_entries(1, 1001, [bytes(16)] * log_entries))
            self.storage.set_hard_state(HardState(1, 0, 1000 + log_entries))
        config = Config(
            id=node,
            election_tick=10,
            heartbeat_tick=1,
            storage=self.storage,
            applied=1000 + log_entries,
            random=random.Random(node).randrange,
            max_size_per_msg=1 << 20,
            max_inflight_msgs=512,
            check_quorum=True,
            pre_vote=True,
            async_storage_writes=True,
        )
        self.node = RawNode(config)
        self.applied = 0

    def trim(self) -> None:
        """Keep the log about as long as it was at the start."""
        keep_from = self.node.basic_status().applied - self.keep
        if keep_from > self.storage.first_index():
            self.storage.compact(keep_from)

    def work(self) -> list[Message]:
        """Do all there is to do; messages for other members."""
        node, out = self.node, []
        while node.has_ready():
            for m in node.ready().messages:
                if m.to < APPEND_THREAD - 1:
                    out.append(m)
                    continue
                if m.type == MSG_STORAGE_APPEND:
                    self.storage.append(m.entries)
                else:
                    self.applied += len(m.entries)
                for response in m.responses:
                    if response.to == node.raft.id:
                        node.step(response)
                    else:
                        out.append(response)
        return out


class Cluster:
    def __init__(self, size: int, wire: bool = False, log_entries: int = 0) -> None:
        voters = tuple(range(1, size + 1))
        self.members = {node: Member(node, voters, log_entries) for node in voters}
        self.wire = wire
        self.members[1].node.campaign()
        self.settle()

    def settle(self) -> None:
        queue: list[Message] = []
        while True:
            for member in self.members.values():
                queue += member.work()
            if not queue:
                return
            for m in queue:
                self.members[m.to].node.step(decode_message(encode_message(m)) if self.wire else m)
            queue = []

    def run(self, batches: int, batch: int, size: int) -> None:
        leader = self.members[1]
        for number in range(batches):
            leader.node.propose_batch([b"%08d" % number + bytes(size - 8) for _ in range(batch)])
            self.settle()
            if number % 64 == 63:
                for member in self.members.values():
                    member.trim()


def cpu_us_per_entry(make: Callable[[], Cluster], options: argparse.Namespace) -> float:
    batches = options.entries // options.batch
    best = float("inf")
    for _ in range(options.runs):
        cluster = make()
        gc.collect()
        gc.freeze()
        start = time.process_time()
        cluster.run(batches, options.batch, options.size)
        spent = time.process_time() - start
        gc.unfreeze()
        applied = {member.applied for member in cluster.members.values()}
        if applied != {batches * options.batch + 1}:
            raise SystemExit(f"not everything was applied: {applied}")
        best = min(best, spent / (batches * options.batch) * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU cost of the Raft core")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=256, help="bytes of each payload")
    parser.add_argument("--log", type=int, default=1_000_000, help="entries in the long log")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows: list[tuple[str, int, Callable[[], Cluster]]] = [
        ("one voter", 1, lambda: Cluster(1)),
        ("three", 3, lambda: Cluster(3)),
        ("three, wire", 3, lambda: Cluster(3, wire=True)),
        (f"one voter, log of {options.log:,}", 1, lambda: Cluster(1, log_entries=options.log)),
    ]
    print(f"batches of {options.batch} x {options.size} B, {options.entries:,} entries, best of {options.runs}")
    for name, members, make in rows:
        cost = cpu_us_per_entry(make, options) / members
        print(f"{name:<32} {cost:6.2f} us CPU per entry{' and member' if members > 1 else ''}")


if __name__ == "__main__":
    main()
