"""Descriptors written by hand, read by protobuf's own module for them."""

import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from etcdz.proto import etcdserverpb as pb
from etcdz.proto.descriptors import File, files_of
from etcdz.proto.schema import SCHEMA

SMALL = """\
package a
enum Colour: RED=0 BLUE=5
enum M.Size: S=0 L=300
message2 Old
  1 number int64
message M
  1 key bytes
  2 size Size
  200 many Old repeated
  3 this string oneof=either
  4 that b.N oneof=either

package b
message N
  1 colour a.Colour
"""


@pytest.mark.parametrize("file", files_of(SCHEMA), ids=lambda file: file.name)
def test_what_is_written_is_what_protobuf_would_write(file: File) -> None:
    read = descriptor_pb2.FileDescriptorProto.FromString(file.body)
    assert read.SerializeToString(deterministic=True) == file.body
    assert read.name == file.name and [message.name for message in read.message_type] == file.messages


def test_a_schema_says_what_its_grammar_promises() -> None:
    read = {file.name: descriptor_pb2.FileDescriptorProto.FromString(file.body) for file in files_of(SMALL)}
    message = read["etcdz/a.proto3"].message_type[0]
    assert [(field.number, field.type_name, field.label) for field in message.field][1:3] == [
        (2, ".a.M.Size", 1),
        (200, ".a.Old", 3),
    ]
    assert [field.oneof_index for field in message.field if field.HasField("oneof_index")] == [0, 0]
    assert [(value.name, value.number) for value in message.enum_type[0].value] == [("S", 0), ("L", 300)]
    assert list(read["etcdz/a.proto3"].dependency) == ["etcdz/a.proto2", "etcdz/b.proto3"]


@pytest.mark.parametrize(("schema", "text"), [("package a\nmessage M\n  1 x Y\n", "no type 'Y' for a.M")])
def test_a_wrong_schema_is_refused(schema: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        files_of(schema)


def test_messages_are_like_those_of_protobufs_public_modules() -> None:
    """Which are the way where upb is another than it was."""
    pool = descriptor_pool.DescriptorPool()
    for file in files_of(SCHEMA):
        pool.AddSerializedFile(file.body)
    public = message_factory.GetMessageClass(pool.FindMessageTypeByName("etcdserverpb.RangeResponse"))
    body = pb.RangeResponse(kvs=[{"key": b"k", "lease": -1}], more=True).SerializeToString()
    assert public.FromString(body).SerializeToString() == body
    assert str(public.FromString(body)) == str(pb.RangeResponse.FromString(body))


def test_the_public_modules_serve_where_upb_is_another() -> None:
    code = """if 1:
        import sys
        sys.modules["google._upb"] = None
        import os
        os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
        from etcdz.proto import etcdserverpb as pb
        assert pb.PutRequest.FromString(pb.PutRequest(key=b"k").SerializeToString()).key == b"k"
        """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
