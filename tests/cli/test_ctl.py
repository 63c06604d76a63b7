"""etcdzctl beside etcdctl 3.5.1: each command line is given to both, on the same member, and both say the same."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import etcdz
from etcdz.cli.command_tree import CommandError
from etcdz.cli.ctl import check, main
from etcdz.cli.ctl.discovery import discover
from etcdz.client import delete, put
from tests.etcd_process import RealEtcd, find_program

ETCDCTL = find_program("etcdctl")
pytestmark = pytest.mark.skipif(ETCDCTL is None, reason="no etcdctl")

ROOT = Path(__file__).parents[2]
PATIENT = "--command-timeout=60s"  # a slow machine is no reason to say something else
PROGRAM = [sys.executable, "-m", "etcdz.cli.ctl"]
OUTPUTS = ("--hex", "-w=fields", "-w=json")

READS = """
get a|get --prefix|get --prefix s|get s/1 s/3|get --from-key s/2|get a --keys-only|get --prefix --keys-only s
get nope|get --prefix s --limit 1|get --prefix s --order descend|get --prefix s --sort-by MODIFY --order DESCEND
get a --rev 2|get a --consistency s|get a --print-value-only|get --prefix s --count-only|get bin
lease list|lease timetolive 77|lease timetolive 77 --keys|lease timetolive 5|lease keep-alive 77 --once
del nope|del nope --prev-kv|lease keep-alive --once 5|lease keep-alive 5|lease revoke 5
"""

CLUSTER = """
member list|endpoint status|endpoint hashkv|alarm list|user list|role list|auth status
"""
CLUSTER_OUTPUTS = ("", "-w=fields", "-w=json", "-w=table", "-w=protobuf")

# What stdin has is behind <<<, with | for the end of a line.
TRANSACTIONS = r"""
txn <<< val("a") = "2"||get a|get --prefix s|del nope||get b||
txn -w json <<< val("a") = "2"||get a|get --prefix s|del nope||get b||
txn -w fields <<< val("a") = "2"||get a|get --prefix s|del nope||get b||
txn -i <<< ver("a") > "0"|mod("a") < "999"|c("nope") = "0"||get "a"||get b||
txn --hex <<< val("\x61") = "2"|ver("a") != "0"||get "\u0061"||||
txn -w protobuf <<< |get a|||
txn -w table <<< |get a|||
txn <<< val("a") = b|
txn <<< val(a) = "b"|
txn <<< val("a") "b"|
txn <<< val("a" = "b"|
txn <<< val = b|
txn <<< ver("a") = "x"|
txn <<< foo("a") = "x"|
txn <<< |get|
txn <<< |nope a|
txn <<< |get a --nope|
txn <<< |get a b --prefix|
txn <<< |
txn x <<< |
"""

# Each is run by both, one after the other: the last lines undo the first.
SCRIPTS = """
role add r|role add r|role get r|role grant-permission r read a|role grant-permission r WRITE b c -w fields
role grant-permission r readwrite p --prefix|role grant-permission r read f --from-key|role grant-permission r nope a
role get r|role get r -w json|role get r -w fields|role grant-permission r read a b --prefix|role list -w fields
user add u:pw|user add u:pw|user grant-role u r|user get u|user get u --detail|user get u -w json|user revoke-role u r
user revoke-role u r|user passwd u --interactive=false|role revoke-permission r a|role revoke-permission r b c
role revoke-permission r zz|role delete r -w json|role delete r|user delete u|user delete u|auth enable
user add root:pw|auth enable|get a|--user=root:pw get a|--user=root:no get a
--user=root --password=pw auth disable|role delete root|user delete root|user add n --no-password|user delete n
member promote 77|defrag|defrag --cluster|move-leader 77
"""

HEALTHY = re.compile(rb"http://.* is healthy: successfully committed proposal: took = [0-9.]+.*s\n")

WRONG = """
get|get a b --prefix|get a --prefix --from-key|get a --keys-only --count-only|get a --consistency x|get a --order x
get a --sort-by x|get a --rev 9999|get a --limit x|get a --nope|get a --prefix=x|get a -w nope|put
put a b --ignore-value|put a b --lease xyz|put a b --lease 99
put nope --ignore-value|del|del a b c|del a b --prefix|del a --prefix --from-key
compaction|compaction x|compaction 9999|compaction -- -1|lease grant|lease grant x|lease revoke
watch|watch --rev 1|watch a --|watch a b --prefix|watch --rev x a|lock|elect|elect a|elect a b -l
lease revoke xyz|lease timetolive|lease timetolive zz|lease keep-alive --once|nope|get a --command-timeout 5
member add|member add a b|member add a http://b|member add a|member remove|member remove zz|member update 77
alarm list x|move-leader|move-leader zz|auth status x|user list x|user add|user add :x|role add|role grant-permission r
role revoke-permission r|snapshot save|endpoint hashkv --rev 9999|get a -w table|e status
get a --cert=|get a --cert x|get a --limit|put a b --lease 99999999999999999999|get --prefix= a
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as member:
        given = f"--endpoints={member.client_url}"
        member.wait_cluster_version()
        for line in ("lease grant 500", "put s/1 x", "put s/2 yy", "put s/3 z", "put a 1", "put a 2"):
            assert real(given, line.split())[0] == 0
        yield given


Said = tuple[int, bytes, list[str]]


def real(endpoint: str, words: list[str], stdin: bytes = b"", **env: str) -> Said:
    assert ETCDCTL is not None
    environ = {"PATH": os.environ["PATH"], **env}
    argv = [ETCDCTL, *([endpoint] if endpoint else []), PATIENT, *words]
    ran = subprocess.run(argv, input=stdin, capture_output=True, env=environ, timeout=90)
    return ran.returncode, steady(ran.stdout), complaints(ran.stderr)


class Ours:
    def __init__(self, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch, endpoint: str) -> None:
        self._capture, self._patch, self._endpoint = capture, patch, endpoint

    def __call__(self, words: list[str], stdin: bytes = b"") -> Said:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([*([self._endpoint] if self._endpoint else []), PATIENT, *words])
        out, err = self._capture.readouterr()
        return status, steady(out), complaints(err)


@pytest.fixture
def ours(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Ours:
    return Ours(capsysbinary, monkeypatch, endpoint)


def steady(out: bytes) -> bytes:
    """Without how long a lease has still to live, and without etcdctl's usage: ours is cobra's, and on stderr."""
    if out.startswith(b"NAME:"):
        return b""
    return re.sub(rb"remaining\(\d+s\)|\"ttl\":\d+|\"TTL\" : \d+", b"<ttl>", out)


def complaints(err: bytes) -> list[str]:
    """What is said of an error, without the usage in between, and without the log of Go's client."""
    kept = []
    for line in err.decode().splitlines():
        if line.startswith(("Error:", "Failed", "Run ", "watch was")):
            kept.append(line)
        elif '"environment-variable"' in line:
            record = json.loads(line)
            kept.append(f"{record['level']} {record['msg']} {record['environment-variable']}")
    return kept


def lines(text: str) -> list[str]:
    return [line for row in text.strip().splitlines() for line in row.split("|")]


def check_same(ours: Ours, endpoint: str, words: list[str]) -> None:
    """Of a member in which nothing happens meanwhile: what a test before has left may still come to its end."""
    before = real(endpoint, words)
    for _ in range(100):
        said, after = ours(words), real(endpoint, words)
        if after == before:
            break
        before = after
    assert said == after, words


def test_what_is_read_looks_the_same(ours: Ours, endpoint: str) -> None:
    lease = real(endpoint, ["lease", "list"])[1].split()[-1].decode()
    real(endpoint, ["put", "s/1", "x", f"--lease={lease}"])
    real(endpoint, ["put", "bin"], b'\x00\xff"\n')
    for number, line in enumerate(lines(READS.replace(" 77", f" {lease}"))):
        for output in ("", OUTPUTS[number % len(OUTPUTS)]):
            check_same(ours, endpoint, [*line.split(), *([output] if output else [])])


def test_the_cluster_looks_the_same(ours: Ours, endpoint: str) -> None:
    for line in lines(CLUSTER):
        for output in CLUSTER_OUTPUTS:
            check_same(ours, endpoint, [*line.split(), *([output] if output else [])])
    assert ours(["mem", "l"]) == real(endpoint, ["member", "list"]), "a command by its first letters"


def test_transactions_read_and_answer_the_same(ours: Ours, endpoint: str) -> None:
    for line in TRANSACTIONS.strip().splitlines():
        words, _, stdin = line.partition(" <<< ")
        given = stdin.replace("|", "\n").encode()
        assert ours(words.split(), given) == real(endpoint, words.split(), given), line


def test_users_and_members_are_managed_in_the_same_words(ours: Ours, endpoint: str) -> None:
    script = [line.split() for line in lines(SCRIPTS)]
    expected = [real(endpoint, words, b"word\n") for words in script]
    for words, said in zip(script, expected, strict=True):
        assert ours(words, b"word\n") == said, words


def test_passwords_are_asked_for_twice(ours: Ours, endpoint: str) -> None:
    prompts = b"Password of x: \nType password of x again for confirmation: \n"
    assert ours(["user", "add", "x"], b"p w\np w\n") == (0, prompts + b"User x created\n", [])
    assert ours(["--user=x", "user", "passwd", "x"], b"p w\n1\n2\n") == (
        128,
        prompts,
        ["Error: given passwords are different"],
    )
    assert ours(["user", "delete", "x"])[0] == 0
    assert ours(["user", "add", "x"], b"\n") == (128, b"Password of x: \n", ["Error: empty password"])


def test_health_says_who_is_not(ours: Ours, endpoint: str) -> None:
    url = endpoint.partition("=")[2]
    assert HEALTHY.fullmatch(ours(["endpoint", "health"])[1])
    with socket.socket() as deaf:  # bound, and nobody listens
        deaf.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{deaf.getsockname()[1]}"
        status, out, said = ours(["endpoint", "health", f"--endpoints={nobody}", "-w=json"])
        found = json.loads(out)
        assert (status, said) == (1, ["Error: unhealthy cluster"])
        assert [(each["endpoint"], each["health"]) for each in found] == [(url, True), (nobody, False)]
        assert "refused" in found[1]["error"]
        status, out, said = ours(["endpoint", "status", f"--endpoints={nobody}"])
        assert (status, out.count(b"\n"), len(said)) == (1, 1, 1), "of each endpoint, whichever flag has named it"


def test_a_snapshot_is_saved_and_read(ours: Ours, endpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "store"
    assert ours(["snapshot", "save", str(path)]) == (0, f"Snapshot saved at {path}\n".encode(), [])
    assert ours(["snapshot", "status", str(path)]) == real(endpoint, ["snapshot", "status", str(path)])
    assert ours(["snapshot", "save", str(tmp_path / "no" / "store")])[0] == 5
    two = ["snapshot", "save", "x", "--endpoints=a:1"]
    assert ours(two) == real(endpoint, two)


def test_debug_shows_the_variables(
    endpoint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCDCTL_COMMAND_TIMEOUT", "90s")
    assert main([endpoint, "get", "nope", "--debug"]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert "ETCDCTL_COMMAND_TIMEOUT=1m30s" in shown and f"ETCDCTL_ENDPOINTS=[{endpoint.partition('=')[2]}]" in shown


def test_endpoints_by_srv_records(capsys: pytest.CaptureFixture[str]) -> None:
    records = {"_etcd-client-ssl-x._tcp.a.example": [("one", 1)], "_etcd-client-x._tcp.a.example": [("two", 2)]}

    def look_up(name: str) -> list[tuple[str, int]]:
        if name not in records:
            raise OSError(f"lookup {name}: none")
        return records[name]

    assert discover("a.example", "x", True, look_up) == ["https://one:1", "http://two:2"]
    assert discover("a.example", "x", False, look_up) == ["https://one:1"]
    assert capsys.readouterr().err == 'ignoring discovered insecure endpoint "http://two:2"\n'
    with pytest.raises(CommandError, match=r"dns lookup errors: lookup _etcd-client-ssl\._tcp\.a\.example: none and"):
        discover("a.example", "", True, look_up)


def test_what_is_wrong_is_refused_in_the_same_words(ours: Ours, endpoint: str) -> None:
    for line in lines(WRONG):
        assert ours(line.split()) == real(endpoint, line.split()), line


def test_what_is_written_can_be_read(ours: Ours, endpoint: str) -> None:
    real(endpoint, ["put", "w", "1"])
    assert ours(["put", "w", "2", "--prev-kv"]) == (0, b"OK\nw\n1\n", [])
    assert ours(["put", "w"], b"from stdin\n") == (0, b"OK\n", [])
    assert real(endpoint, ["get", "w"])[1] == b"w\nfrom stdin\n\n"
    assert ours(["put", "--", "w", "-v"]) == (0, b"OK\n", [])
    assert ours(["del", "w", "--prev-kv"]) == (0, b"1\nw\n-v\n", [])
    assert ours(["put", "w"])[0] == 128, "no value at all"
    status, out, _ = ours(["lease", "grant", "300"])
    found = re.fullmatch(rb"lease ([0-9a-f]{16}) granted with TTL\(300s\)\n", out)
    assert status == 0 and found
    revoked = ours(["lease", "revoke", found[1].decode()])
    assert revoked == (0, b"lease %s revoked\n" % found[1], [])


def test_variables(ours: Ours, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = endpoint.partition("=")[2]
    cases: tuple[dict[str, str], ...] = (
        {"ETCDCTL_ENDPOINTS": url},
        {"ETCDCTL_WRITE_OUT": "nope"},
        {"ETCDCTL_NOPE": "1"},
        {"ETCDCTL_HEX": "true"},
        {"ETCDCTL_HEX": "x"},
    )
    for variables in cases:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert ours(["get", "a"]) == real(endpoint, ["get", "a"], b"", **variables), variables


def test_a_watch_runs_a_command_for_each_event_until_one_fails(endpoint: str) -> None:
    real(endpoint, ["put", "run", "1"])
    head = json.loads(real(endpoint, ["get", "run", "-w=json"])[1])
    script = 'echo "$ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"; exit 3'
    words = ["watch", "run", "--rev", str(head["kvs"][0]["mod_revision"]), "--", "sh", "-c", script]
    ran = subprocess.run([*PROGRAM, endpoint, *words], capture_output=True, cwd=ROOT, timeout=60)
    said = real(endpoint, words)
    assert (ran.returncode, ran.stdout) == said[:2]
    assert ran.stderr.decode() == f'command ["sh" "-c" {json.dumps(script)}] error (exit status 3)\n'


def test_a_watch_ends_where_the_store_is_compacted(ours: Ours, endpoint: str) -> None:
    out = real(endpoint, ["put", "cut", "1", "-w=json"])[1]
    real(endpoint, ["compaction", str(json.loads(out)["header"]["revision"])])
    for output in ("", "-w=json", "-w=fields"):
        words = ["watch", "cut", "--rev=1", *([output] if output else [])]
        assert ours(words) == real(endpoint, words), words
        assert ours(words)[0] == 5


def test_watches_that_stdin_asks_for(endpoint: str) -> None:
    revision = json.loads(real(endpoint, ["put", "seen", "1", "-w=json"])[1])["header"]["revision"]
    real(endpoint, ["del", "seen"])
    lines = f"nope\n\nwatch\nwatch seen b --prefix\nwatch 'seen' --prev-kv --rev {revision}\n"
    found = []
    for program in ([str(ETCDCTL)], PROGRAM):
        with subprocess.Popen(
            [*program, endpoint, "watch", "-i"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        ) as running:  # fmt: skip
            assert running.stdin is not None and running.stdout is not None and running.stderr is not None
            running.stdin.write(lines.replace("'", '"').encode())
            running.stdin.flush()
            events = [running.stdout.readline() for _ in range(8)]
            running.stdin.write(b"progress\n")
            running.stdin.flush()
            told = running.stdout.readline()
            running.stdin.close()
            found.append((running.wait(60), events, told.split(b":")[0], running.stderr.read().splitlines()[:4]))
    assert found[0] == found[1]
    assert found[0][1] == [b"PUT\n", b"seen\n", b"1\n", b"DELETE\n", b"seen\n", b"1\n", b"seen\n", b"\n"]


def test_a_lock_is_held_while_a_command_runs_or_until_a_signal(ours: Ours, endpoint: str) -> None:
    assert ours(["lock", "l", "--", "sh", "-c", "exit 3"]) == (3, b"", ["Error: exit status 3"])
    assert ours(["lock", "l", "nobody-has-this"])[0] == 1
    for words, number in ((["lock", "l", "--ttl=120"], signal.SIGINT), (["elect", "e", "me"], signal.SIGTERM)):
        with subprocess.Popen([*PROGRAM, endpoint, *words], stdout=subprocess.PIPE, cwd=ROOT) as running:
            assert running.stdout is not None
            key, value = running.stdout.readline()[:-1], running.stdout.readline()[:-1]
            assert ours(["get", key.decode()]) == (0, b"%s\n%s\n" % (key, value), [])
            running.send_signal(number)
            assert running.wait(60) == 0
        assert key.startswith(words[1].encode() + b"/") and value == (b"me" if "me" in words else b"")
        assert ours(["get", key.decode()]) == (0, b"", []), "it is gone with who held it"


def test_a_mirror_has_what_is_there_and_what_changes(ours: Ours, endpoint: str) -> None:
    url = endpoint.partition("=")[2]
    assert ours(["make-mirror"]) == real(endpoint, ["make-mirror"])
    assert ours(["make-mirror", url, "--no-dest-prefix", "--dest-prefix=x"])[0] == 128
    with etcdz.connect(url) as db:
        start = db.put("from/a", "1").revision
        with db.watch(prefix="to/", start=start) as events:
            words = ["make-mirror", url, "--prefix=from/", "--dest-prefix=to/"]
            with subprocess.Popen([*PROGRAM, endpoint, *words], cwd=ROOT) as running:
                try:
                    assert events.get(60).key == b"to/a"
                    db.txn().then(put("from/b", "2"), delete("from/a")).commit()
                    found = [events.get(60) for _ in range(2)]
                    assert {(event.type, event.key, event.value) for event in found} == {
                        ("put", b"to/b", b"2"),
                        ("delete", b"to/a", b""),
                    }
                    assert found[0].revision == found[1].revision, "what was changed at once is so in the mirror"
                finally:
                    running.kill()


def test_the_cluster_is_checked(ours: Ours, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(check.PERF, "s", check.Load(20, 3, 0.2))
    monkeypatch.setitem(check.DATASCALE, "m", check.Load(30, 3))
    status, out, _ = ours(["check", "perf"])
    lines = out.decode().splitlines()
    assert (lines[-1], status) in (("PASS", 0), ("FAIL", 1)) and "writes/s" in lines[0], "a slow machine fails it"
    status, out, _ = ours(["check", "datascale", "--load=medium", "--auto-compact", "--auto-defrag"])
    assert status == 0
    assert re.search(rb"\nPASS: Approximate system memory used : -?[0-9.]+ MB\.\n$", out), out
    assert b"Compacted with revision" in out and b"Defragmented" in out
    assert ours(["get", "--prefix", "/etcdctl-check", "--keys-only"]) == (0, b"", []), "it cleans up"
    assert ours(["check", "perf", "--load=x"]) == real(endpoint, ["check", "perf", "--load=x"])
    assert ours(["check", "perf", "--prefix=a"]) == real(endpoint, ["check", "perf", "--prefix=a"])


def test_bash_completes_commands_and_flags(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capfdbinary.readouterr().out
    for words, expected in (
        ("etcdzctl mem", b"member"),
        ("etcdzctl member pro", b"promote"),
        ("x get --lim", b"--limit"),
    ):
        at = words.count(" ")
        ask = f'COMP_WORDS=({words}); COMP_CWORD={at}; _etcdzctl; echo "${{COMPREPLY[@]}}"'.encode()
        assert subprocess.run(["bash"], input=script + ask, capture_output=True, timeout=60).stdout == expected + b"\n"
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert b"promote" in capfdbinary.readouterr().out


def test_ranges_by_revisions(ours: Ours, endpoint: str) -> None:
    for key in "xyz":
        real(endpoint, ["put", f"by/{key}", key])
    real(endpoint, ["put", "by/x", "again"])
    modified = int(ours(["get", "by/x", "-w=json"])[1].partition(b'"mod_revision":')[2].partition(b",")[0])
    for words, found in (
        ([f"--min-mod-rev={modified}"], b"x"),
        ([f"--max-mod-rev={modified - 1}"], b"yz"),
        ([f"--min-create-rev={modified - 2}", f"--max-create-rev={modified - 2}"], b"y"),
    ):
        said = ours(["get", "--prefix", "by/", "--keys-only", *words])
        assert said == (0, b"".join(b"by/%c\n\n" % key for key in found), [])
    said = ours(["get", "a", "--min-mod-rev=5", "--max-mod-rev=4"])
    assert said == (4, b"", ["Error: getMinModRev(=5) > getMaxModRev(=4)"])
    assert ours(["del", "by/x", "by/z", "--range"]) == (0, b"2\n", [])
    assert ours(["del", "--prefix", "by/"]) == (0, b"1\n", [])


def test_what_newer_etcdctls_have(ours: Ours, endpoint: str) -> None:
    assert ours(["member", "list", "--consistency=s"]) == real(endpoint, ["member", "list"])
    assert ours(["member", "list", "--consistency=x"])[0] == 4
    for words, status, text in (
        (["enable"], 128, "TARGET_VERSION not provided"),
        (["enable", "3.4", "x"], 128, "too many arguments"),
        (["validate", ""], 128, "target version not provided"),
        (["validate", "3.9"], 1, "etcdserver: invalid downgrade target version"),
        (["cancel"], 1, "etcdserver: no inflight downgrade job"),
    ):
        assert ours(["downgrade", *words]) == (status, b"", [f"Error: {text}"]), words
    assert ours(["downgrade", "validate", "3.4"])[1:] == (b"Downgrade validate success, cluster version 3.5.0\n", [])
    shown = ours(["options"])[1]
    assert b"\n      --cacert string " in shown and b"\n  -w, --write-out string " in shown


def test_a_token_stands_for_a_login(ours: Ours, endpoint: str) -> None:
    for line in ("user add root:pw", "user grant-role root root", "auth enable"):
        real(endpoint, line.split())
    try:
        body = json.dumps({"name": "root", "password": "pw"}).encode()
        with urllib.request.urlopen(f"{endpoint.partition('=')[2]}/v3/auth/authenticate", body, timeout=60) as answer:
            token = json.load(answer)["token"]
        assert ours([f"--auth-jwt-token={token}", "get", "nope"]) == (0, b"", [])
        assert ours(["--auth-jwt-token=x", "get", "nope"]) == (1, b"", ["Error: etcdserver: invalid auth token"])
    finally:
        for line in ("auth disable", "user delete root", "role delete root"):
            real(endpoint, ["--user=root:pw", *line.split()])


def test_powershell_is_told_of_all_commands(ours: Ours) -> None:
    script = ours(["completion", "powershell"])[1].decode()
    assert "'member' = 'add list promote remove update'" in script
    assert "'put' = '--ignore-lease --ignore-value --lease --prev-kv'" in script


def test_it_starts_as_a_program(endpoint: str) -> None:
    argv = [*PROGRAM, endpoint, "get", "nope", "--sort-by", "x"]
    ran = subprocess.run(argv, capture_output=True, cwd=ROOT, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (4, b"", b"Error: bad sort target x\n")
