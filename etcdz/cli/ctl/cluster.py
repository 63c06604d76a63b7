"""member add, remove, update, promote, list; alarm list, disarm."""

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, BAD_FEATURE
from etcdz.cli.ctl.numbers import unsigned
from etcdz.cli.ctl.session import Session
from etcdz.client import methods
from etcdz.config.literals import quote
from etcdz.proto import etcdserverpb as pb


def add(arguments: list[str], values: Values) -> int:
    name, urls = _new_member(arguments), _urls(values)
    session = Session(values)
    body = pb.MemberAddRequest(peerURLs=urls, isLearner=values["learner"] == "true").SerializeToString()
    answer = session.ask(methods.MEMBER_ADD, body, pb.MemberAddResponse.FromString)
    text = f"Member {answer.member.ID:16x} added to cluster {answer.header.cluster_id:16x}\n"
    session.show(session.printer.done(answer, (text + _settings(name, answer, values)).encode(), in_fields=False))
    return 0


def _new_member(arguments: list[str]) -> str:
    """raises CommandError"""
    if not arguments:
        raise CommandError("member name not provided", BAD_ARGUMENTS)
    if len(arguments) > 1:
        meant = [f", did you mean --peer-urls={word}" for word in arguments if word.lower().startswith("http")]
        raise CommandError("too many arguments" + "".join(meant), BAD_ARGUMENTS)
    return arguments[0]


def _settings(name: str, answer: "pb.MemberAddResponse", values: Values) -> str:
    """What the new member is to be started with."""
    cluster = [
        f"{name if member.ID == answer.member.ID else member.name}={url}"
        for member in answer.members
        for url in member.peerURLs
    ]
    return (
        f"\nETCD_NAME={quote(name)}\nETCD_INITIAL_CLUSTER={quote(','.join(cluster))}\n"
        f"ETCD_INITIAL_ADVERTISE_PEER_URLS={quote(values['peer-urls'])}\n"
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n'
    )


def remove(arguments: list[str], values: Values) -> int:
    member = _id(arguments)
    session = Session(values)
    body = pb.MemberRemoveRequest(ID=member).SerializeToString()
    answer = session.ask(methods.MEMBER_REMOVE, body, pb.MemberRemoveResponse.FromString)
    text = f"Member {member:16x} removed from cluster {answer.header.cluster_id:16x}\n"
    session.show(session.printer.done(answer, text.encode(), in_fields=False))
    return 0


def update(arguments: list[str], values: Values) -> int:
    member, urls = _id(arguments), _urls(values)
    session = Session(values)
    body = pb.MemberUpdateRequest(ID=member, peerURLs=urls).SerializeToString()
    answer = session.ask(methods.MEMBER_UPDATE, body, pb.MemberUpdateResponse.FromString)
    text = f"Member {member:16x} updated in cluster {answer.header.cluster_id:16x}\n"
    session.show(session.printer.done(answer, text.encode(), in_fields=False))
    return 0


def promote(arguments: list[str], values: Values) -> int:
    member = _id(arguments)
    session = Session(values)
    body = pb.MemberPromoteRequest(ID=member).SerializeToString()
    answer = session.ask(methods.MEMBER_PROMOTE, body, pb.MemberPromoteResponse.FromString)
    text = f"Member {member:16x} promoted in cluster {answer.header.cluster_id:16x}\n"
    session.show(session.printer.done(answer, text.encode()))
    return 0


def list_all(arguments: list[str], values: Values) -> int:
    if values["consistency"] not in ("l", "s"):
        raise CommandError(f"unknown consistency flag {quote(values['consistency'])}", BAD_FEATURE)
    session = Session(values)
    body = pb.MemberListRequest(linearizable=values["consistency"] == "l").SerializeToString()
    session.show(session.printer.members(session.ask(methods.MEMBER_LIST, body, pb.MemberListResponse.FromString)))
    return 0


def _id(arguments: list[str]) -> int:
    """raises CommandError"""
    if len(arguments) != 1:
        raise CommandError("member ID is not provided", BAD_ARGUMENTS)
    try:
        return unsigned(arguments[0])
    except ValueError as error:
        raise CommandError(f"bad member ID arg ({error}), expecting ID in Hex", BAD_ARGUMENTS) from None


def _urls(values: Values) -> list[str]:
    """raises CommandError"""
    if not values["peer-urls"]:
        raise CommandError("member peer urls not provided", BAD_ARGUMENTS)
    return values["peer-urls"].split(",")


# ---- alarms ----


def alarms(arguments: list[str], values: Values) -> int:
    if arguments:
        raise CommandError("alarm list command accepts no arguments", BAD_ARGUMENTS)
    session = Session(values)
    session.show(session.printer.alarms(session.ask(methods.ALARM, b"", pb.AlarmResponse.FromString)))
    return 0


def disarm(arguments: list[str], values: Values) -> int:
    """Each alarm by a call of its own, as Go's client does it; what they answer is put together."""
    if arguments:
        raise CommandError("alarm disarm command accepts no arguments", BAD_ARGUMENTS)
    session = Session(values)
    with session:
        found = session.ask(methods.ALARM, b"", pb.AlarmResponse.FromString)
        shown = pb.AlarmResponse()
        for alarm in found.alarms:
            body = pb.AlarmRequest(action=2, memberID=alarm.memberID, alarm=alarm.alarm).SerializeToString()
            shown.alarms.extend(session.ask(methods.ALARM, body, pb.AlarmResponse.FromString).alarms)
    session.show(session.printer.alarms(shown))
    return 0
