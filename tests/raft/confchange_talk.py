"""Conversations with the configuration: `simple`, `enter-joint [autoleave=bool]`, `leave-joint`."""

from etcdz.raft import ConfChangeError, confchange
from etcdz.raft.describe import describe_config, describe_progress_map, parse_changes
from etcdz.raft.tracker import Tracker
from tests.raft.datadriven import Directive


class ConfChangeTalk:
    def __init__(self) -> None:
        self.tracker = Tracker(inflight_max=10)
        self.last_index = 0

    def handle(self, d: Directive) -> str:
        try:
            return self._handle(d)
        except (ConfChangeError, ValueError) as error:
            return f"{error}\n"
        finally:
            # Each command stands for an entry, also if it is refused.
            self.last_index += 1

    def _handle(self, d: Directive) -> str:
        changes = parse_changes(d.input)
        if d.command == "simple":
            changed = confchange.simple(self.tracker, self.last_index, changes)
        elif d.command == "enter-joint":
            auto_leave = bool(d.arguments) and d.boolean(d.value("autoleave"))
            changed = confchange.enter_joint(self.tracker, self.last_index, auto_leave, changes)
        elif d.command == "leave-joint":
            if changes:
                raise ConfChangeError("this command takes no input")
            changed = confchange.leave_joint(self.tracker)
        else:
            return "unknown command"
        self.tracker.switch_to(*changed)
        return f"{describe_config(self.tracker.config)}\n{describe_progress_map(self.tracker.progress)}"
