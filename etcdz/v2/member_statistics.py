"""/v2/stats/self and /v2/stats/leader as JSON. Source: etcd 3.5 v2stats"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from etcdz.v2.append_statistics import Flow, FollowerFigures
from etcdz.v2.go_json import SECOND_NS, encode_duration, encode_float, encode_text, encode_time


class Standing(NamedTuple):
    """Who a member is and whom it follows. Times: unix time in ns. leader: its id, 0: none"""

    name: str
    id: int
    began_ns: int
    leader: int
    leads_since_ns: int


def self_json(standing: Standing, sent: Flow, received: Flow, now_ns: int) -> str:
    """What /v2/stats/self answers."""
    state = "StateLeader" if standing.leader == standing.id else "StateFollower"
    leader = f"{standing.leader:x}" if standing.leader else ""
    uptime = encode_duration(max(0, now_ns - standing.leads_since_ns))
    return (
        f'{{"name":{encode_text(standing.name)},"id":"{standing.id:x}","state":"{state}",'
        f'"startTime":"{encode_time(standing.began_ns)}","leaderInfo":{{"leader":"{leader}","uptime":"{uptime}",'
        f'"startTime":"{encode_time(standing.leads_since_ns)}"}},'
        f'"recvAppendRequestCnt":{received.appends},{_rates("recv", received)}'
        f'"sendAppendRequestCnt":{sent.appends},{_rates("send", sent)}'
    ).removesuffix(",") + "}"


def _rates(way: str, flow: Flow) -> str:
    """What is 0 is left out."""
    rates = (("PkgRate", flow.messages), ("BandwidthRate", flow.bytes))
    return "".join(f'"{way}{name}":{encode_float(rate)},' for name, rate in rates if rate)


def leader_json(id_: int, followers: Iterable[tuple[int, Sequence[float]]]) -> str:
    """What /v2/stats/leader answers. followers: (id, FollowerFigures)"""
    told = {f"{follower:x}": FollowerFigures._make(figures) for follower, figures in followers}
    each = ",".join(f'"{name}":{_follower_json(told[name])}' for name in sorted(told))
    return f'{{"leader":"{id_:x}","followers":{{{each}}}}}'


def _follower_json(told: FollowerFigures) -> str:
    number = encode_float
    return (
        f'{{"latency":{{"current":{number(told.current)},"average":{number(told.average)},'
        f'"standardDeviation":{number(told.deviation)},"minimum":{number(told.minimum)},'
        f'"maximum":{number(told.maximum)}}},"counts":{{"fail":{told.failed},"success":{told.succeeded}}}}}'
    )


def unix_ns(seconds: float) -> int:
    return int(seconds * SECOND_NS)
