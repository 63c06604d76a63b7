"""Profiles in the format of pprof, read with google's protobuf by the schema that pprof publishes."""

import gzip
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from etcdz.telemetry import pprof

INT64, UINT64, STRING, MESSAGE = 3, 4, 9, 11
SCHEMA = {
    "ValueType": [("type", 1, INT64), ("unit", 2, INT64)],
    "Label": [("key", 1, INT64), ("str", 2, INT64)],
    "Sample": [("location_id", 1, [UINT64]), ("value", 2, [INT64]), ("label", 3, ["Label"])],
    "Line": [("function_id", 1, UINT64), ("line", 2, INT64)],
    "Location": [("id", 1, UINT64), ("line", 4, ["Line"])],
    "Function": [("id", 1, UINT64), ("name", 2, INT64), ("system_name", 3, INT64), ("filename", 4, INT64)],
    "Profile": [
        ("sample_type", 1, ["ValueType"]),
        ("sample", 2, ["Sample"]),
        ("location", 4, ["Location"]),
        ("function", 5, ["Function"]),
        ("string_table", 6, [STRING]),
        ("time_nanos", 9, INT64),
        ("duration_nanos", 10, INT64),
        ("period_type", 11, "ValueType"),
        ("period", 12, INT64),
    ],
}


def profile_type() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="pprof.proto", package="pprof", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated, kind = isinstance(kind, list), kind[0] if isinstance(kind, list) else kind
            row = message.field.add(name=field, number=number, label=3 if repeated else 1)
            row.type = MESSAGE if isinstance(kind, str) else kind
            if isinstance(kind, str):
                row.type_name = f".pprof.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pprof.Profile"))


def read(data: bytes) -> Any:
    return profile_type().FromString(gzip.decompress(data))


def test_stacks_of_all_actors_are_in_it_with_their_counts_times_and_names() -> None:
    sites = [["Wal.write", "wal.py", 7], ["loop", "loop.py", 300], ["loop", "loop.py", 301]]
    actors = {
        "wal": {"hz": 100, "lost": 0, "sites": sites, "stacks": [[3, [0, 1]], [1, [0, 2]]]},
        "raft": {"hz": 100, "lost": 0, "sites": [["loop", "loop.py", 300]], "stacks": [[2, [0]]]},
        "peer": {"why_not": "did not answer"},
    }
    found = read(pprof.encode(actors, 5_000, 1.5))
    text, lines = found.string_table, {one.id: one.line[0] for one in found.location}
    functions = {one.id: (text[one.name], text[one.filename]) for one in found.function}
    told = [
        (
            text[sample.label[0].str],
            list(sample.value),
            [(*functions[lines[at].function_id], lines[at].line) for at in sample.location_id],
        )
        for sample in found.sample
    ]
    inner, outer = ("Wal.write", "wal.py", 7), ("loop", "loop.py", 300)
    assert told == [
        ("wal", [3, 30_000_000], [inner, outer]),
        ("wal", [1, 10_000_000], [inner, ("loop", "loop.py", 301)]),
        ("raft", [2, 20_000_000], [outer]),
    ]
    assert text[0] == "" and {text[sample.label[0].key] for sample in found.sample} == {"actor"}
    assert [(text[kind.type], text[kind.unit]) for kind in found.sample_type] == [
        ("samples", "count"),
        ("cpu", "nanoseconds"),
    ]
    assert (found.time_nanos, found.duration_nanos, found.period) == (5_000, 1_500_000_000, 10_000_000)
    assert len(found.location) == 3 and len(found.function) == 2, "each is told once"


def test_a_profile_in_which_nothing_ran_is_one() -> None:
    assert not read(pprof.encode({}, 1, 1.0)).sample
