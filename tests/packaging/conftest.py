"""Distributions, built once for the tests of a module."""

from pathlib import Path

import pytest

from tests.packaging.distributions import CLIENT, build, copy_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("checkout") / "etcdz")


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(sources, "build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def client_wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(sources / CLIENT, "build_wheel", tmp_path_factory.mktemp("wheel"))
