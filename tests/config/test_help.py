"""--help and --version."""

import re

from etcdz import ETCD_VERSION
from etcdz.cli.main import COMMANDS
from etcdz.config.flags import COMMAND_LINE, SECTIONS, SETTINGS, Status
from etcdz.config.reading import ExitRequest, parse


def ask(*argv: str) -> ExitRequest:
    answer = parse(argv, {})
    assert isinstance(answer, ExitRequest)
    return answer


def test_help_names_every_flag_with_its_default() -> None:
    answer = ask("--name=x", "-h", "--foo")
    assert (answer.code, answer.error) == (0, "")
    shown = dict(re.findall(r"^  --([a-z0-9-]+) '(.*)'(?: \[.\])?$", answer.stdout, re.MULTILINE))
    assert shown == {flag.name: flag.default for flag in SETTINGS.values()} | {"data-dir": "${name}.etcd"}
    assert re.findall(r"^(\S.*):$", answer.stdout, re.MULTILINE) == list(SECTIONS)


def test_help_marks_what_is_not_built_yet() -> None:
    marked = re.findall(r"^  --([a-z0-9-]+) .*\[=\]$", ask("--help").stdout, re.MULTILINE)
    assert marked == [flag.name for flag in SETTINGS.values() if flag.status is Status.DEFAULT_ONLY]


def test_help_fits_a_terminal() -> None:
    answer = ask("--help")
    assert max(map(len, (answer.stdout + answer.stderr).splitlines())) <= 120


def test_usage_goes_to_stderr_and_names_the_commands() -> None:
    for answer in (ask("--help"), ask("--foo")):
        assert answer.stderr.count("Usage:") == 1
        assert [name for name in COMMANDS if f"\n  etcdz {name}" not in answer.stderr] == []


def test_version_starts_with_the_api_that_is_spoken() -> None:
    answer = ask("--version", "--cert-file=x")
    assert (answer.code, answer.stdout.splitlines()[0]) == (0, f"etcd Version: {ETCD_VERSION}")


def test_every_flag_reads_its_own_default() -> None:
    assert len(COMMAND_LINE) > len(SETTINGS) > 130
    for flag in SETTINGS.values():
        assert flag.is_supported(flag.default_value)
        assert flag.help.endswith(".")
