"""downgrade validate, enable, cancel."""

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS
from etcdz.cli.ctl.session import Session
from etcdz.client import methods
from etcdz.proto import etcdserverpb as pb


def validate(arguments: list[str], values: Values) -> int:
    return _ask(values, "validate", pb.DowngradeRequest.VALIDATE, _target(arguments))


def enable(arguments: list[str], values: Values) -> int:
    return _ask(values, "enable", pb.DowngradeRequest.ENABLE, _target(arguments))


def cancel(arguments: list[str], values: Values) -> int:
    return _ask(values, "cancel", pb.DowngradeRequest.CANCEL, "")


def _target(arguments: list[str]) -> str:
    """raises CommandError"""
    if not arguments:
        raise CommandError("TARGET_VERSION not provided", BAD_ARGUMENTS)
    if len(arguments) > 1:
        raise CommandError("too many arguments", BAD_ARGUMENTS)
    if not arguments[0]:
        raise CommandError("target version not provided", BAD_ARGUMENTS)
    return arguments[0]


def _ask(values: Values, name: str, action: int, version: str) -> int:
    session = Session(values)
    body = pb.DowngradeRequest(action=action, version=version).SerializeToString()
    answer = session.ask(methods.DOWNGRADE, body, pb.DowngradeResponse.FromString)
    text = f"Downgrade {name} success, cluster version {answer.version}\n"
    session.show(session.printer.done(answer, text.encode()))
    return 0
