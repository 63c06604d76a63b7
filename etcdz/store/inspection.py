"""Looks at a LevelDB directory before LevelDB does, and changes nothing.

LevelDB makes an empty store where CURRENT is missing, and unlinks every table that the manifest it has read does not
name: opening a store that is not whole destroys what was still good. So this says what is wrong first. What a crash
leaves is not wrong: the torn end of the newest log or of the manifest, which `cuts` names.

That a manifest has lost its last edits shows by what they let LevelDB delete: the log that it names, or a table, is
not there. If both are, then these edits had no effect yet, and the store is what it was before them.

CURRENT holds nothing that cannot be found again: LevelDB keeps one manifest, and for a moment two.
"""

import re
from pathlib import Path
from typing import NamedTuple

from etcdz.store.log_tail import LogEnd, find_end
from etcdz.store.manifest import BadManifest, Version, read_manifest

_MANIFEST = re.compile(rb"(MANIFEST-[0-9]+)\n")


class Damage(NamedTuple):
    """path, why    the file, and what is wrong with it
    log           number of the log that ends at log_bytes, with nothing wrong before that; 0: another file is damaged
    manifest      what CURRENT ought to name: all that this says is there; "": not known, or CURRENT is right
    """

    path: Path
    why: str
    log: int = 0
    log_bytes: int = 0
    manifest: str = ""

    @property
    def is_mendable(self) -> bool:
        """Whether a copy of the store can do without what is damaged."""
        return bool(self.log or self.manifest)

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class Inspection(NamedTuple):
    """cuts: (file, size that it is to be cut to) of torn ends."""

    damage: Damage | None
    cuts: list[tuple[Path, int]]


def is_new(directory: Path) -> bool:
    """Whether there is no store yet: one that was about to be made has a manifest at most, and an empty log."""
    if not directory.is_dir():
        return True
    return not (directory / "CURRENT").exists() and not any(map(_holds_data, directory.iterdir()))


def inspect(directory: Path) -> Inspection:
    """Requires: is_new has said that there is something. raises OSError: a file cannot be read"""
    names = sorted(path.name for path in directory.iterdir())
    current = directory / "CURRENT"
    if "CURRENT" not in names:
        held = sum(_holds_data(directory / name) for name in names)
        return _without_manifest(directory, names, current, f"is missing, but {held} tables and logs are there")
    named = _MANIFEST.fullmatch(current.read_bytes())
    if named is None:
        return _without_manifest(directory, names, current, "does not name a manifest")
    path = directory / named[1].decode()
    if not path.exists():
        return _without_manifest(directory, names, path, "is missing, CURRENT names it")
    return _with_manifest(directory, path)


def _holds_data(path: Path) -> bool:
    return path.suffix in (".ldb", ".sst") or (path.suffix == ".log" and path.stat().st_size > 0)


def _without_manifest(directory: Path, names: list[str], path: Path, why: str) -> Inspection:
    manifests = [name for name in reversed(names) if _MANIFEST.fullmatch(f"{name}\n".encode())]
    whole = (name for name in manifests if _with_manifest(directory, directory / name).damage is None)
    return Inspection(Damage(path, why, manifest=next(whole, "")), [])


def _with_manifest(directory: Path, path: Path) -> Inspection:
    data = path.read_bytes()
    end = find_end(data)
    if not end.is_torn:
        return Inspection(Damage(path, f"is damaged at position {end.bad}, and what follows is sound"), [])
    try:
        version = read_manifest(data)
    except BadManifest as error:
        return Inspection(Damage(path, f"is no manifest: {error}"), [])
    cuts = [(path, end.sound)] if end.sound < len(data) else []
    damage = _missing_table(directory, version) or _missing_log(directory, version)
    return Inspection(damage, cuts) if damage is not None else _with_logs(directory, version, cuts)


def _missing_table(directory: Path, version: Version) -> Damage | None:
    """NB: .sst is what LevelDB called its tables before 1.14."""
    for number, size in sorted(version.tables.items()):
        path = next((p for e in ("ldb", "sst") if (p := directory / f"{number:06d}.{e}").exists()), None)
        if path is None:
            return Damage(directory / f"{number:06d}.ldb", "is missing, the manifest names it")
        if (found := path.stat().st_size) < size:
            return Damage(path, f"has {found} bytes, the manifest says {size}")
    return None


def _missing_log(directory: Path, version: Version) -> Damage | None:
    """LevelDB makes a log before its manifest names it."""
    path = directory / f"{version.log:06d}.log"
    if version.log and not path.exists():
        return Damage(path, "is missing, the manifest names it", log=version.log)
    return None


def _with_logs(directory: Path, version: Version, cuts: list[tuple[Path, int]]) -> Inspection:
    """Only the newest log that holds anything can be torn: one is synced before the next begins."""
    logs = sorted((int(path.stem), path) for path in directory.glob("*.log") if path.stem.isdecimal())
    ends: list[tuple[int, Path, LogEnd, int]] = []
    for number, path in logs:
        data = path.read_bytes() if number >= version.log else b""
        if data:
            ends.append((number, path, find_end(data), len(data)))
    for number, path, end, size in ends:
        if end.sound == size:
            continue
        if not end.is_torn or path != ends[-1][1]:
            why = f"is damaged at position {end.bad}, and what follows is sound"
            return Inspection(Damage(path, why, log=number, log_bytes=end.sound), cuts)
        cuts = [*cuts, (path, end.sound)]
    return Inspection(None, cuts)
