"""An option of these tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-stubs", action="store_true", help="write etcdz/proto/*.pyi anew from the schema")
