"""A running member without processes: real lifecycle, orders and observations; actions are only written down.

Pids are incarnations, as in tests/supervisor/children/samples.py; none of them exists.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from etcdz.ipc.messages import Query, QueryReply
from supervisor.children.child import Action
from supervisor.children.orders import Orders
from supervisor.control import verbs
from supervisor.control.order_verbs import Operator
from supervisor.control.socket import ControlError
from supervisor.processes.disk_worker import DiskWorker
from supervisor.telemetry.cpu_meter import CpuMeter
from supervisor.telemetry.events import Events
from supervisor.telemetry.observations import Observations
from tests.supervisor.children.samples import running, works


class Asked:
    """A request, and what was said to it."""

    def __init__(self, verb: str, args: dict[str, Any]) -> None:
        self.verb = verb
        self.args = args
        self.pieces: list[Any] = []
        self.answers: list[Any] = []
        self.refusals: list[str] = []
        self.is_gone = False

    def piece(self, result: Any) -> bool:
        self.pieces.append(result)
        return not self.is_gone

    def answer(self, result: Any) -> bool:
        self.answers.append(result)
        return not self.is_gone

    def refuse(self, error: str) -> bool:
        self.refusals.append(error)
        return not self.is_gone


class FakeMember:
    """To be given to verbs as a supervisor.runtime.context.Member."""

    def __init__(self, data_dir: Path, **fields: Any) -> None:
        """fields: of the log's child spec"""
        self.settings = {"name": "default", "data_dir": str(data_dir)}
        self.began_at = 0.0
        self.lifecycle = running(**fields)
        self.orders = Orders(self.lifecycle)
        self.events = Events()
        self.cpu_meter = CpuMeter()
        self.queries: list[tuple[int, Query]] = []
        self.worker = DiskWorker()
        self.observations = Observations(
            str(data_dir),
            self.lifecycle.everyone,
            lambda name, incarnation: f"ipc://{data_dir}/{name}.{incarnation}",
            lambda incarnation, query: self.queries.append((incarnation, query)),
            self.worker,
        )
        self.renewals: list[Any] = []
        self.spawner: Any = SimpleNamespace(pid=1, started_at=0.0, starts=1, renew=self._renew)
        self.done: list[Action] = []
        member: Any = self
        self.operator = Operator(member)
        self.verbs = verbs.table(self.operator)

    def do(self, actions: list[Action]) -> None:
        self.done += works(actions)

    def _renew(self, done: Any) -> bool:
        self.renewals.append(done)
        return len(self.renewals) == 1

    def ask(self, verb: str, **args: Any) -> tuple[Any, Asked]:
        """(what the verb returned, the request)"""
        asked: Any = Asked(verb, args)
        member: Any = self
        return self.verbs[verb](member, asked), asked

    def refusal(self, verb: str, **args: Any) -> str:
        """The text with which it is refused at once; "" if it is not."""
        try:
            self.ask(verb, **args)
        except ControlError as error:
            return str(error)
        return ""

    def reply(self, number: int, ok: bool, result: Any) -> None:
        """An actor answers."""
        incarnation, query = self.queries[number]
        self.observations.queries.on_reply(QueryReply("", incarnation, query.id, ok, result))
