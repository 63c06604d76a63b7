"""lease grant, revoke, timetolive, list, keep-alive."""

import random
import time
from typing import Final

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, BAD_CONNECTION
from etcdz.cli.ctl.numbers import integer
from etcdz.cli.ctl.session import Session
from etcdz.client import methods
from etcdz.client.errors import EtcdError
from etcdz.client.pending import Request
from etcdz.proto import etcdserverpb as pb

_AGAIN_S: Final = 0.5


def grant(arguments: list[str], values: Values) -> int:
    if len(arguments) != 1:
        raise CommandError("lease grant command needs TTL argument", BAD_ARGUMENTS)
    try:
        ttl = integer(arguments[0])
    except ValueError as error:
        raise CommandError(f"bad TTL ({error})", BAD_ARGUMENTS) from None
    session = Session(values)
    chosen = random.SystemRandom().getrandbits(62) + 1  # ours, so that a grant that is sent again is no second lease
    body = pb.LeaseGrantRequest(TTL=ttl, ID=chosen).SerializeToString()
    failure = "failed to grant lease ({})"
    session.show(
        session.printer.grant(session.ask(methods.LEASE_GRANT, body, pb.LeaseGrantResponse.FromString, failure=failure))
    )
    return 0


def revoke(arguments: list[str], values: Values) -> int:
    lease = _lease(arguments, "lease revoke command needs 1 argument")
    session = Session(values)
    body = pb.LeaseRevokeRequest(ID=lease).SerializeToString()
    failure = "failed to revoke lease ({})"
    answer = session.ask(methods.LEASE_REVOKE, body, pb.LeaseRevokeResponse.FromString, failure=failure)
    session.show(session.printer.revoke(lease, answer))
    return 0


def time_to_live(arguments: list[str], values: Values) -> int:
    text = "lease timetolive command needs lease ID as argument"
    if len(arguments) != 1:
        raise CommandError(text, BAD_ARGUMENTS)
    session = Session(values)
    keys = values["keys"] == "true"
    body = pb.LeaseTimeToLiveRequest(ID=_lease(arguments, text), keys=keys).SerializeToString()
    decode = pb.LeaseTimeToLiveResponse.FromString
    answer = session.ask(methods.LEASE_TIME_TO_LIVE, body, decode, status=BAD_CONNECTION, is_bounded=False)
    session.show(session.printer.time_to_live(answer, keys))
    return 0


def list_all(arguments: list[str], values: Values) -> int:
    session = Session(values)
    decode = pb.LeaseLeasesResponse.FromString
    answer = session.ask(methods.LEASE_LEASES, b"", decode, status=BAD_CONNECTION, is_bounded=False)
    session.show(session.printer.leases(answer))
    return 0


def keep_alive(arguments: list[str], values: Values) -> int:
    lease = _lease(arguments, "lease keep-alive command needs lease ID as argument")
    session = Session(values)
    if values["once"] != "true":
        return _keep(session, lease)
    body = pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()
    decode = pb.LeaseKeepAliveResponse.FromString
    answer = session.ask(methods.LEASE_KEEP_ALIVE, body, decode, status=BAD_CONNECTION, is_bounded=False)
    if answer.TTL <= 0:
        raise CommandError("etcdserver: requested lease not found", BAD_CONNECTION)
    session.show(session.printer.keep_alive(answer))
    return 0


def _keep(session: Session, lease: int) -> int:
    """Every third of its TTL, for as long as it lives."""
    body = pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()
    with session:
        ends_at = time.monotonic() + session.options.dial_timeout_s + 1
        while (left := ends_at - time.monotonic()) > 0:
            try:
                step = Request(methods.LEASE_KEEP_ALIVE, body, pb.LeaseKeepAliveResponse.FromString, left)
                answer = session.do(step)
            except EtcdError:
                time.sleep(_AGAIN_S)
                continue
            if answer.TTL <= 0:
                break
            ends_at = time.monotonic() + answer.TTL
            session.show(session.printer.keep_alive(answer))
            time.sleep(answer.TTL / 3)
    if session.printer.name == "simple":
        session.show(b"lease %016x expired or revoked.\n" % lease)
    return 0


def _lease(arguments: list[str], needs: str) -> int:
    if len(arguments) != 1:
        raise CommandError(needs, BAD_ARGUMENTS)
    try:
        return integer(arguments[0], 16)
    except ValueError as error:
        raise CommandError(f"bad lease ID arg ({error}), expecting ID in Hex", BAD_ARGUMENTS) from None
