"""The stubs that mypy reads are those of the classes; `--rewrite-stubs` writes them anew."""

import importlib
from pathlib import Path

import pytest
from google.protobuf.message import Message

import etcdz.proto
from etcdz.proto.schema import SCHEMA
from tests.proto.stubs import stub_of

HOME = Path(etcdz.proto.__file__).parent
PACKAGES = [line.removeprefix("package ") for line in SCHEMA.splitlines() if line.startswith("package ")]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_stub_says_what_the_classes_have(name: str, request: pytest.FixtureRequest) -> None:
    made = stub_of(importlib.import_module(f"etcdz.proto.{name}"))
    path = HOME / f"{name}.pyi"
    if request.config.getoption("--rewrite-stubs", default=False):
        path.write_text(made)
    assert path.read_text() == made


def test_there_is_no_stub_without_a_package() -> None:
    assert sorted(path.stem for path in HOME.glob("*.pyi")) == sorted(PACKAGES)


def test_a_package_can_be_imported_by_either_way() -> None:
    module = importlib.import_module("etcdz.proto.mvccpb")
    assert module is etcdz.proto.mvccpb
    assert issubclass(module.KeyValue, Message)
