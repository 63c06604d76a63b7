"""--feature-gates of etcd 3.6 and later: Name=true,Name=false. Most are other names of experimental flags of 3.5.

Source: etcd 3.6 pkg/featuregate and server/features; 3.8 has the same features.
"""

from collections.abc import Mapping
from typing import Any, Final

from etcdz.config.kinds import Kind
from etcdz.config.literals import parse_bool

_ALL_ALPHA, _ALL_BETA = "AllAlpha", "AllBeta"
OLD_NAMES: Final = {
    "StopGRPCServiceOnDefrag": "experimental-stop-grpc-service-on-defrag",
    "TxnModeWriteWithSharedBuffer": "experimental-txn-mode-write-with-shared-buffer",
    "InitialCorruptCheck": "experimental-initial-corrupt-check",
    "CompactHashCheck": "experimental-compact-hash-check-enabled",
    "LeaseCheckpoint": "experimental-enable-lease-checkpoint",
    "LeaseCheckpointPersist": "experimental-enable-lease-checkpoint-persist",
}
"""Feature -> the flag that switches the same."""
_OTHERS: Final = ("SetMemberLocalAddr", "FastLeaseKeepAlive", "PriorityRequest")
"""Between members, and how requests queue: nothing here depends on them."""
_BETA: Final = ("TxnModeWriteWithSharedBuffer", "FastLeaseKeepAlive")


def _parse(text: str) -> tuple[tuple[str, bool], ...]:
    """(feature, whether it is on), the last word on each. raises ValueError, in etcd's words"""
    found: dict[str, bool] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in item.partition("="))
        if not sign:
            raise ValueError(f"missing bool value for {name}")
        try:
            found[name] = parse_bool(value)
        except ValueError:
            why = f'strconv.ParseBool: parsing "{value}": invalid syntax'
            raise ValueError(f"invalid value of {name}={value}, err: {why}") from None
    for name in found:
        if name not in (_ALL_ALPHA, _ALL_BETA, *OLD_NAMES, *_OTHERS):
            raise ValueError(f"unrecognized feature gate: {name}")
    return tuple(sorted(found.items()))


FEATURES: Final = Kind(_parse, "string")
"""Pairs of feature and switch, sorted."""


def as_flags(given: Mapping[str, Any]) -> dict[str, bool]:
    """What the given gates switch, by the name of the flag."""
    chosen = dict(_gates(given))
    switched = {}
    for feature, flag in OLD_NAMES.items():
        group = _ALL_BETA if feature in _BETA else _ALL_ALPHA
        value = chosen.get(feature, chosen.get(group))
        if value is not None:
            switched[flag] = value
    return switched


def conflict(given: Mapping[str, Any]) -> str | None:
    """Why a flag and the gate that replaces it cannot both be given."""
    for feature, value in _gates(given):
        flag = OLD_NAMES.get(feature, "")
        if flag in given:
            gate = f"--feature-gates={feature}={_text(value)}"
            return (
                f"cannot specify both flags: --{flag}={_text(given[flag])} and {gate} at the same time, "
                f"please just use {gate}"
            )
    return None


def _gates(given: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    """NB: those of a file may still be text, which is wrong and refused later."""
    gates: Any = given.get("feature-gates", ())
    return () if isinstance(gates, str) else gates


def _text(value: bool) -> str:
    return "true" if value else "false"
