"""endpoint health, status, hashkv; defrag; move-leader: each endpoint is asked by a connection of its own."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS
from etcdz.cli.ctl.numbers import flag_integer, unsigned
from etcdz.cli.ctl.printers.printer import Health
from etcdz.cli.ctl.session import Session, said
from etcdz.client import methods
from etcdz.client.errors import EtcdError, PermissionDenied
from etcdz.client.pending import Request
from etcdz.client.requests import get
from etcdz.config.literals import format_duration
from etcdz.proto import etcdserverpb as pb

_ALARMS: Final = {1: "NOSPACE", 2: "CORRUPT"}


def _chosen(session: Session, values: Values) -> list[str]:
    """Those of --endpoints, or with --cluster of all members. raises CommandError"""
    if values["cluster"] != "true":
        return session.endpoints
    body = pb.MemberListRequest(linearizable=True).SerializeToString()
    failure = "failed to fetch endpoints from etcd cluster member list: {}"
    asked = session.without_login()  # anybody may know the members
    answer = asked.ask(methods.MEMBER_LIST, body, pb.MemberListResponse.FromString, failure=failure)
    return [url for member in answer.members for url in member.clientURLs]


# ---- health ----


def health(arguments: list[str], values: Values) -> int:
    session = Session(values)
    chosen = _chosen(session, values)
    with ThreadPoolExecutor(len(chosen)) as pool:
        found = list(pool.map(lambda endpoint: _health(session, endpoint), chosen))
    if session.printer.name == "simple":
        for each in found:
            if each.error:
                sys.stderr.write(f"{each.endpoint} is unhealthy: failed to commit proposal: {each.error}\n")
    session.show(session.printer.healths(found))
    if any(each.error for each in found):
        raise CommandError("unhealthy cluster")
    return 0


def _health(session: Session, endpoint: str) -> Health:
    """An endpoint is healthy if it can read a key by all members' agreement, and knows no alarm."""
    try:
        asked = session.at(endpoint)
    except CommandError as error:
        return Health(endpoint, False, "", str(error))
    began = time.monotonic_ns()
    with asked:
        why = _why_not(asked)
        took = format_duration(time.monotonic_ns() - began)
        why = why or _alarms(asked)
    return Health(endpoint, not why, took, why)


def _why_not(asked: Session) -> str:
    """ "" if a read was answered. NB: who is refused was understood"""
    try:
        asked.do(get("health", timeout=asked.timeout_s))
    except PermissionDenied:
        return ""
    except EtcdError as error:
        return said(error)
    return ""


def _alarms(asked: Session) -> str:
    try:
        answer = asked.do(Request(methods.ALARM, b"", pb.AlarmResponse.FromString, asked.timeout_s))
    except EtcdError:
        return "Unable to fetch the alarm list"
    kinds = [_ALARMS.get(alarm.alarm, "UNKNOWN") for alarm in answer.alarms]
    return f"Active Alarm(s): {' '.join(kinds)} " if kinds else ""


# ---- status and hashes ----


def status(arguments: list[str], values: Values) -> int:
    session = Session(values)
    found, failed = [], False
    for endpoint in _chosen(session, values):
        try:
            step = Request(methods.STATUS, b"", pb.StatusResponse.FromString, session.timeout_s)
            found.append((endpoint, session.at(endpoint).do(step)))
        except EtcdError as error:
            failed = True
            sys.stderr.write(f"Failed to get the status of endpoint {endpoint} ({said(error)})\n")
    session.show(session.printer.statuses(found))
    return 1 if failed else 0


def hash_kv(arguments: list[str], values: Values) -> int:
    session = Session(values)
    body = pb.HashKVRequest(revision=flag_integer(values["rev"])).SerializeToString()
    found, failure = [], ""
    for endpoint in _chosen(session, values):
        try:
            step = Request(methods.HASH_KV, body, pb.HashKVResponse.FromString, session.timeout_s)
            found.append((endpoint, session.at(endpoint).do(step)))
        except EtcdError as error:
            failure = said(error)
            sys.stderr.write(f"Failed to get the hash of endpoint {endpoint} ({failure})\n")
    session.show(session.printer.hashes(found))
    if failure:
        raise CommandError(failure)
    return 0


# ---- upkeep ----


def defrag(arguments: list[str], values: Values) -> int:
    if values["data-dir"]:
        raise CommandError("--data-dir is not supported: defragment a member that runs, by its endpoint")
    session = Session(values)
    failed = False
    for endpoint in _chosen(session, values):
        try:
            session.at(endpoint).do(Request(methods.DEFRAGMENT, b"", bytes, session.timeout_s))
        except EtcdError as error:
            failed = True
            sys.stderr.write(f"Failed to defragment etcd member[{endpoint}] ({said(error)})\n")
        else:
            session.show(f"Finished defragmenting etcd member[{endpoint}]\n".encode())
    return 1 if failed else 0


def move_leader(arguments: list[str], values: Values) -> int:
    if len(arguments) != 1:
        raise CommandError("move-leader command needs 1 argument", BAD_ARGUMENTS)
    try:
        target = unsigned(arguments[0])
    except ValueError as error:
        raise CommandError(str(error), BAD_ARGUMENTS) from None
    session = Session(values)
    for endpoint in session.endpoints:
        with session.at(endpoint) as asked:
            status = asked.ask(methods.STATUS, b"", pb.StatusResponse.FromString)
            if status.leader != status.header.member_id:
                continue
            body = pb.MoveLeaderRequest(targetID=target).SerializeToString()
            answer = asked.ask(methods.MOVE_LEADER, body, pb.MoveLeaderResponse.FromString)
            text = f"Leadership transferred from {status.leader:x} to {target:x}\n"
            session.show(session.printer.done(answer, text.encode(), in_fields=False))
            return 0
    raise CommandError(f"no leader endpoint given at [{' '.join(session.endpoints)}]", BAD_ARGUMENTS)
