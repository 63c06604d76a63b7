"""docs/ as a site: MkDocs makes it without a warning, and its pages ask no other server for anything."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.test_docs import PAGES

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 600
pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """A link that is followed by a click is another matter."""
    loaded = re.compile(r"""(?:<script[^>]*src|<link[^>]*href|<img[^>]*src)="(?:https?:)?//[^"]*""")
    assert {match for page in site.rglob("*.html") for match in loaded.findall(page.read_text())} == set()


def test_pages_of_the_repository_outside_of_docs_are_there_and_their_links_hold(site: Path) -> None:
    """MkDocs has looked at those to pages; a file that is no page it copies and is silent about."""
    assert (site / "config/secure-member.yml").read_bytes() == (ROOT / "config/secure-member.yml").read_bytes()
    text = (site / "tls/index.html").read_text()
    assert 'href="../config/secure-member.yml"' in text and 'href="../config/"' in text


def test_every_page_stands_in_the_navigation_once() -> None:
    entries = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = Counter(leaves(entries))
    own = {path.relative_to(ROOT).as_posix().removeprefix("docs/") for path in PAGES} - {"README.md"}
    assert set(listed) == own
    assert max(listed.values()) == 1


def leaves(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    below = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
    return [leaf for each in below for leaf in leaves(each)]
