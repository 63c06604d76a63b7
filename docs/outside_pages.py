"""Takes pages of the repository that lie outside of docs/ into the site, and turns links to and from them.

A link in a page is good for who reads the file in the repository. In the site docs/ is the top, and beside its pages
lie those below under their own paths.
"""

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

TOP: Final = ("CHANGELOG.md", "CONTRIBUTING.md")
OUTSIDE: Final = (*TOP, "config/**/*")
"""Of the repository, as patterns."""
_LINK: Final = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Files, config: "MkDocsConfig") -> Files:
    """Called by mkdocs when it has looked into docs/."""
    for path in outside_files(Path(config.docs_dir).parent):
        uri = path.relative_to(Path(config.docs_dir).parent).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def outside_files(root: Path) -> list[Path]:
    """NB: config/etcdz-client is a project of its own, with a README for those who install it."""
    found = [path for pattern in OUTSIDE for path in root.glob(pattern) if path.is_file()]
    return sorted(path for path in found if root / "config/etcdz-client" not in path.parents)


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: Files) -> str:
    """Called by mkdocs for each page."""
    return _LINK.sub(lambda match: f"]({turned(match[1], page.file.src_uri, files)}", markdown)


def turned(link: str, page: str, files: Files) -> str:
    """The same link in the site. page: path of the one that it stands in, there"""
    is_outside = page in TOP or page.startswith("config/")
    folder = posixpath.dirname(page if is_outside else f"docs/{page}")
    target = posixpath.normpath(posixpath.join(folder, link)).removeprefix("docs/")
    if link.endswith("/"):  # a folder
        target = f"{target}/README.md"
    return posixpath.relpath(target, posixpath.dirname(page) or ".")
