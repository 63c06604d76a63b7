"""--strict-reconfig-check: which changes of the membership a member refuses to propose, as they could cost the quorum.

Two things count: which members have started, which the membership knows, and which this member is connected to, which
only it knows and which has to have been so for a while.
Source: etcd 3.5 server (mayAddMember, mayRemoveMember, mayPromoteMember).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from etcdz.api import errors
from etcdz.api.errors import Code, EtcdError
from etcdz.cluster.membership import Membership

NOT_ENOUGH_STARTED: Final = errors.MEMBER_NOT_ENOUGH_STARTED._replace(code=Code.UNKNOWN)
"""NB: etcd's servers send this one without the code that its list of errors has for it."""
HEALTHY_S: Final = 5.0
"""A member counts as connected when it has been for so long."""


def check_add(known: Membership, active: Mapping[int, float], is_learner: bool, now_s: float) -> EtcdError | None:
    """Why a member must not be added; None: it may be.

    active  other members that are heard of -> since when
    now_s   on the same clock
    """
    if not is_learner and not known.is_ready_to_add_voter():
        return NOT_ENOUGH_STARTED
    voters = known.voters()
    connected = count_connected(known, voters, active, now_s - HEALTHY_S)
    if len(voters) == 1 or connected >= (len(voters) + 1) // 2 + 1:
        return None
    return errors.UNHEALTHY


def check_remove(known: Membership, active: Mapping[int, float], id_: int, now_s: float) -> EtcdError | None:
    """Why a member must not be removed; None: it may be, or there is none of this id. active, now_s: as check_add"""
    member = known.by_id.get(id_)
    if member is not None and member.is_learner:
        return None
    if not known.is_ready_to_remove_voter(id_):
        return NOT_ENOUGH_STARTED
    if id_ != known.member_id and id_ not in active:
        return None  # it is down, and no part of the quorum that works
    voters = known.voters()
    connected = count_connected(known, voters, active, now_s - HEALTHY_S)
    return None if connected - 1 >= 1 + (len(voters) - 1) // 2 else errors.UNHEALTHY


def check_promote(known: Membership) -> EtcdError | None:
    """Why no learner must get a vote; None: it may."""
    return None if known.is_ready_to_promote() else NOT_ENOUGH_STARTED


def count_connected(known: Membership, ids: Iterable[int], active: Mapping[int, float], since_s: float) -> int:
    """How many of these members are connected and were at since_s; this member is, if it is among them."""
    return sum(id_ == known.member_id or active.get(id_, since_s) < since_s for id_ in ids)
