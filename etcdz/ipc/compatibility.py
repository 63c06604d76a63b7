"""Whether code of another version can join processes that run already: what each says of its types, and the judgement.

A version of the code describes every type that travels between processes, messages and what a new process is told:

    protocol  = {place: [type name, fields]}      place: "message 14" for a tag, "Boot" for a type without one
    fields    = [[name, type, has a default], ...]   in order

Types are only compared by their text: a change inside of a field, such as one more element of a tuple, is no smaller a
change than a field of its own would be, and no receiver could make up for it.

The rules are those of etcdz/ipc/messages.py. Two versions understand each other if, place by place, the shorter list of
fields begins the longer one, and what the longer one has more has defaults. An upgrade must also still have every
place of the supervisor's own version, with all its fields: the supervisor itself is never upgraded. So an upgrade that
added a type or a field can be taken back, but what was there when the member started stays.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

Field = tuple[str, str, bool]
Protocol = dict[str, tuple[str, list[Field]]]


def describe(types: Mapping[str, type[Any]]) -> Protocol:
    """The protocol of these NamedTuples, by their places."""
    return {place: (kind.__name__, _fields(kind)) for place, kind in types.items()}


def message_places(messages: Mapping[int, type[Any]]) -> dict[str, type[Any]]:
    """The places of messages that are known by tag."""
    return {f"message {tag}": kind for tag, kind in messages.items()}


def _fields(kind: type[Any]) -> list[Field]:
    types = inspect.get_annotations(kind)
    return [(name, inspect.formatannotation(types[name]), name in kind._field_defaults) for name in kind._fields]


def received(protocol: Mapping[str, Any]) -> Protocol:
    """A protocol after msgpack, with tuples again. raises TypeError, ValueError: it is none"""
    return {
        place: (str(kind), [(str(name), str(text), bool(defaults)) for name, text, defaults in fields])
        for place, (kind, fields) in protocol.items()
    }


def objection(candidate: Protocol, own: Protocol, others: Iterable[Protocol] = ()) -> str:
    """Why an upgrade to the candidate would break what runs; "" if it would not.

    own     the supervisor's
    others  of all versions whose actors may still live
    """
    found = (_misunderstanding(candidate, running) for running in (own, *others))
    return next(filter(None, found), "") or _lost(candidate, own)


def _lost(candidate: Protocol, own: Protocol) -> str:
    for place, (kind, fields) in own.items():
        if place not in candidate:
            return f"{kind} ({place}) was removed"
        for name, *_ in fields[len(candidate[place][1]) :]:
            return f"{kind}: the field {name} was removed"
    return ""


def _misunderstanding(candidate: Protocol, running: Protocol) -> str:
    for place, (kind, fields) in running.items():
        if place in candidate:
            new_kind, new_fields = candidate[place]
            if new_kind != kind:
                return f"{kind} ({place}) has become {new_kind}"
            if why := _changed(fields, new_fields):
                return f"{kind}: {why}"
    return ""


def _changed(before: list[Field], after: list[Field]) -> str:
    """Why a sender of the one list and a receiver of the other do not understand each other."""
    for (name, text, _), (new_name, new_text, _) in zip(before, after, strict=False):
        if new_name != name:
            return f"the field {name} was renamed, moved or removed: {new_name} has its place"
        if new_text != text:
            return f"the field {name} was {text} and is {new_text}"
    shared = min(len(before), len(after))
    for name, _, has_default in after[shared:]:
        if not has_default:
            return f"the field {name} was added without a default"
    return next((f"the field {name} was removed" for name, _, has_default in before[shared:] if not has_default), "")
