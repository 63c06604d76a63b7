"""What a user can give wrong, and what etcd 3.5.1 says to it: exit status and the last thing that it says.

One list for two tests: etcdz must say so (test_reading), and so must a real etcd (test_etcd_agrees).
"""

from typing import NamedTuple

from etcdz.bootstrap.deciding import decide
from etcdz.bootstrap.errors import BootstrapError
from etcdz.cli.main import first_start_error
from etcdz.config import MemberConfig, bootstrap
from etcdz.config.reading import ExitRequest, Host, read

FREE = (  # flags with which a real etcd touches no port that somebody else may use
    "--listen-peer-urls=http://127.0.0.1:0",
    "--listen-client-urls=http://127.0.0.1:0",
    "--advertise-client-urls=http://localhost:2379",
)
FILE = "etcd.yml"


class Case(NamedTuple):
    argv: tuple[str, ...]
    code: int
    message: str
    env: dict[str, str] = {}  # noqa: RUF012 - never changed
    file: str = ""

    @property
    def label(self) -> str:
        given = [
            *(f"{key}={value}" for key, value in self.env.items()),
            *self.argv,
            repr(self.file) if self.file else "",
        ]
        return " ".join(word for word in given if word not in FREE)[:100]


def in_file(text: str, message: str, code: int = 1) -> Case:
    return Case((f"--config-file={FILE}",), code, message, file=text)


def bad_client_url(url: str, message: str) -> Case:
    argv = ("--listen-client-urls", url, "--advertise-client-urls=http://localhost:2379")
    return Case(argv, 2, f'invalid value "{url}" for flag -listen-client-urls: {message}')


def bad_type(text: str, found: str, go_type: str, key: str = "") -> Case:
    name = key or text.partition(":")[0]
    return in_file(
        text,
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
        f"{found} into Go struct field configYAML.{name} of type {go_type}",
    )


UNSET = "--advertise-client-urls is required when --listen-client-urls is set explicitly"
CONFLICT = (
    "conflicting environment variable is shadowed by corresponding command-line flag "
    "(either unset environment variable or disable flag))"
)
FIVE = "--election-timeout[{}ms] should be at least as 5 times as --heartbeat-interval[100ms]"
SCHEME = "URL scheme must be http, https, unix, or unixs: "
HOST_PORT = 'URL address does not have the form "host:port": '

FLAG_SYNTAX = (
    Case(("--foo",), 2, "flag provided but not defined: -foo"),
    Case(("--foo=bar",), 2, "flag provided but not defined: -foo"),
    Case(("-foo",), 2, "flag provided but not defined: -foo"),
    Case(("---foo",), 2, "bad flag syntax: ---foo"),
    Case(("--=x",), 2, "bad flag syntax: --=x"),
    Case(("-=",), 2, "bad flag syntax: -="),
    Case(("foo",), 1, "'foo' is not a valid flag"),
    Case(("-",), 1, "'-' is not a valid flag"),
    Case(("--", "--foo"), 1, "'--foo' is not a valid flag"),
    Case(("--pre-vote", "false"), 1, "'false' is not a valid flag"),
    Case(("foo", "--version"), 1, "'foo' is not a valid flag"),
    Case(("--version", "foo"), 1, "'foo' is not a valid flag"),
    Case(("--name",), 2, "flag needs an argument: -name"),
    Case(("--name", "--version", "x"), 1, "'x' is not a valid flag"),
    Case(("--help=x", "--foo"), 0, "Usage:"),
    Case(("--foo", "--help"), 2, "flag provided but not defined: -foo"),
)
VALUES = (
    Case(("--snapshot-count=abc",), 2, 'invalid value "abc" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count=-1",), 2, 'invalid value "-1" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count=+1",), 2, 'invalid value "+1" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count=",), 2, 'invalid value "" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count= 1",), 2, 'invalid value " 1" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count=1_0_",), 2, 'invalid value "1_0_" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count=0x",), 2, 'invalid value "0x" for flag -snapshot-count: parse error'),
    Case(("--snapshot-count=08",), 2, 'invalid value "08" for flag -snapshot-count: parse error'),
    Case(
        ("--heartbeat-interval", "99999999999999999999"),
        2,
        'invalid value "99999999999999999999" for flag -heartbeat-interval: value out of range',
    ),
    Case(
        ("--quota-backend-bytes=9223372036854775808",),
        2,
        'invalid value "9223372036854775808" for flag -quota-backend-bytes: value out of range',
    ),
    Case(("--pre-vote=maybe",), 2, 'invalid boolean value "maybe" for -pre-vote: parse error'),
    Case(("--pre-vote=",), 2, 'invalid boolean value "" for -pre-vote: parse error'),
    Case(("--pre-vote=yes",), 2, 'invalid boolean value "yes" for -pre-vote: parse error'),
    Case(("--grpc-keepalive-interval=5",), 2, 'invalid value "5" for flag -grpc-keepalive-interval: parse error'),
    Case(("--grpc-keepalive-interval=s",), 2, 'invalid value "s" for flag -grpc-keepalive-interval: parse error'),
    Case(("--grpc-keepalive-interval=5 s",), 2, 'invalid value "5 s" for flag -grpc-keepalive-interval: parse error'),
    Case(("--grpc-keepalive-interval=1d",), 2, 'invalid value "1d" for flag -grpc-keepalive-interval: parse error'),
    Case(("--initial-cluster-state=foo",), 2, 'invalid value "foo" for flag -initial-cluster-state: invalid value'),
    Case(("--v2-deprecation=foo",), 2, 'invalid value "foo" for flag -v2-deprecation: invalid value "foo"'),
    Case(('--snapshot-count=a"b\\\n',), 2, 'invalid value "a\\"b\\\\\\n" for flag -snapshot-count: parse error'),
)
URLS = (
    bad_client_url("foo", SCHEME + "foo"),
    bad_client_url("localhost:2379", SCHEME + "localhost:2379"),
    bad_client_url("ftp://a:1", SCHEME + "ftp://a:1"),
    bad_client_url("//a:1", SCHEME + "//a:1"),
    bad_client_url(",", SCHEME),
    bad_client_url("127.0.0.1:2379", 'parse "127.0.0.1:2379": first path segment in URL cannot contain colon'),
    bad_client_url("1a://b:1", 'parse "1a://b:1": first path segment in URL cannot contain colon'),
    bad_client_url(":2379", 'parse ":2379": missing protocol scheme'),
    bad_client_url("http://a:b", 'parse "http://a:b": invalid port ":b" after host'),
    bad_client_url("http://[::1]:22x", 'parse "http://[::1]:22x": invalid port ":22x" after host'),
    bad_client_url("http://[::1:22", "parse \"http://[::1:22\": missing ']' in host"),
    bad_client_url("http://a b:1", 'parse "http://a b:1": invalid character " " in host name'),
    bad_client_url("http://%zz:1", 'parse "http://%zz:1": invalid URL escape "%zz"'),
    bad_client_url("http://a%41:1", 'parse "http://a%41:1": invalid URL escape "%41"'),
    bad_client_url("http://a:1#%zz", 'parse "http://a:1#%zz": invalid URL escape "%zz"'),
    bad_client_url("http://u[@a:1", 'parse "http://u[@a:1": net/url: invalid userinfo'),
    bad_client_url("http://127.0.0.1", HOST_PORT + "http://127.0.0.1"),
    bad_client_url("http://a:1,http://b", HOST_PORT + "http://b"),
    bad_client_url("http://fe80::1:2", HOST_PORT + "http://fe80::1:2"),
    bad_client_url("http://127.0.0.1:2/", "URL must not contain a path: http://127.0.0.1:2/"),
    bad_client_url("http://127.0.0.1:2/a?b", "URL must not contain a path: http://127.0.0.1:2/a?b"),
    Case(
        ("--listen-peer-urls=http://a\x01:1",),
        2,
        'invalid value "http://a\\x01:1" for flag -listen-peer-urls: '
        'parse "http://a\\x01:1": net/url: invalid control character in URL',
    ),
)
CHECKS = (
    Case(("--logger=capnslog",), 1, "--logger=capnslog is removed in v3.5"),
    Case(("--logger=x", "--election-timeout=1"), 1, 'unknown logger option "x"'),
    Case(("--log-outputs=default,stderr",), 1, 'multi logoutput for "default" is not supported yet'),
    Case(("--log-level=foo",), 2, 'unrecognized level: "foo"'),
    Case(("--log-level= info",), 2, 'unrecognized level: " info"'),
    Case(("--log-level=DeBuG", "--election-timeout=1"), 1, FIVE.format(1)),
    Case(("--log-level=", "--election-timeout=1"), 1, FIVE.format(1)),
    Case(("--listen-client-urls", "http://127.0.0.1:23791"), 1, UNSET),
    Case(("--listen-client-urls", ""), 1, UNSET),
    Case((), 1, UNSET, {"ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:1"}),
    Case(("--listen-peer-urls=http://foo.example:1",), 1, "expected IP in URL for binding (http://foo.example:1)"),
    Case(("--listen-peer-urls=http://:1",), 1, "expected IP in URL for binding (http://:1)"),
    Case(
        ("--listen-peer-urls=http://[fe80::1%25lo]:2",), 1, "expected IP in URL for binding (http://[fe80::1%25lo]:2)"
    ),
    Case(("--listen-peer-urls=HTTP://b:2,http://a:1",), 1, "expected IP in URL for binding (http://a:1)"),
    Case(("--listen-client-urls=http://a:1",), 1, "expected IP in URL for binding (http://a:1)"),
    Case(
        ("--advertise-client-urls=http://:2379",),
        1,
        '--advertise-client-urls "http://:2379" must be "host:port" (unexpected empty host (http://:2379))',
    ),
    Case(
        ("--initial-advertise-peer-urls=http://:2380,http://a:1",),
        1,
        '--initial-advertise-peer-urls "http://:2380,http://a:1" must be "host:port" '
        "(unexpected empty host (http://:2380))",
    ),
    Case(("--heartbeat-interval=0",), 1, "--heartbeat-interval must be >0 (set to 0ms)"),
    Case(("--election-timeout=0",), 1, "--election-timeout must be >0 (set to 0ms)"),
    Case(("--election-timeout=499",), 1, FIVE.format(499)),
    Case(
        ("--election-timeout=50001",), 1, "--election-timeout[50001ms] is too long, and should be set less than 50000ms"
    ),
    Case(("-election-timeout", "0x10"), 1, FIVE.format(16)),
    Case(("--election-timeout=010",), 1, FIVE.format(8)),
    Case(("--election-timeout=0b1_0",), 1, FIVE.format(2)),
    Case(("--election-timeout=1", "--election-timeout=2"), 1, FIVE.format(2)),
    Case(("--election-timeout=1", "--listen-client-urls=http://127.0.0.1:1"), 1, FIVE.format(1)),
)
ENVIRONMENT = (
    Case((), 1, FIVE.format(1), {"ETCD_ELECTION_TIMEOUT": "1"}),
    Case((), 1, 'invalid value "abc" for ETCD_ELECTION_TIMEOUT: parse error', {"ETCD_ELECTION_TIMEOUT": "abc"}),
    Case(
        (),
        1,
        'invalid value "z" for ETCD_SNAPSHOT_COUNT: parse error',
        {"ETCD_SNAPSHOT_COUNT": "z", "ETCD_PRE_VOTE": "x", "ETCD_NAME": "y"},
    ),
    Case(("--election-timeout=2",), 1, CONFLICT, {"ETCD_ELECTION_TIMEOUT": "2"}),
    Case(("--election-timeout=2",), 1, CONFLICT, {"ETCD_ELECTION_TIMEOUT": ""}),
    Case(("--name=x",), 1, CONFLICT, {"ETCD_NAME": "x", "ETCD_SNAPSHOT_COUNT": "z"}),
    Case(("--election-timeout=2",), 1, FIVE.format(2), {"ETCD_NAME": "", "ETCD_UNHEARD_OF": "1"}),
    Case(("--election-timeout=2",), 1, FIVE.format(2), {"ETCD_VERSION": "true", "ETCD_V": "1"}),
    Case(("--election-timeout=2", "--vv"), 1, FIVE.format(2), {"ETCD_TEST.COVERPROFILE": "1"}),
    Case(
        ("--election-timeout=2",),
        1,
        "open /nonexistent: no such file or directory",
        {"ETCD_CONFIG_FILE": "/nonexistent"},
    ),
)
FILES = (
    Case(("--config-file=/nonexistent",), 1, "open /nonexistent: no such file or directory"),
    in_file("election-timeout: 1\n", FIVE.format(1)),
    in_file("unheard-of: 1\nelection-timeout: 1\n", FIVE.format(1)),
    in_file("ELECTION-timeout: 1\n", FIVE.format(1)),
    in_file("name:\nelection-timeout: 1\n", FIVE.format(1)),
    in_file("election-timeout: 5\nelection-timeout: 1\n", FIVE.format(1)),
    in_file('initial-cluster-state: ""\nelection-timeout: 1\n', FIVE.format(1)),
    in_file("election-timeout: 1e2\n", FIVE.format(100)),
    in_file("election-timeout: 010\n", FIVE.format(8)),
    in_file("election-timeout: 08\n", FIVE.format(8)),
    in_file("election-timeout: 0x1_0\n", FIVE.format(16)),
    in_file("election-timeout: 2.0\n", FIVE.format(2)),
    in_file("initial-cluster-state: foo\n", 'unexpected clusterState "foo"'),
    in_file("log-level: foo\n", 'unrecognized level: "foo"', code=2),
    in_file("pre-vote: yes\nheartbeat-interval: 0\n", "--heartbeat-interval must be >0 (set to 0ms)"),
    in_file("listen-client-urls: foo\n", f"unexpected error setting up listen-client-urls: {SCHEME}foo"),
    in_file("advertise-client-urls: foo\n", f"unexpected error setting up advertise-peer-urls: {SCHEME}foo"),
    in_file(
        "just text\n",
        "error unmarshaling JSON: while decoding JSON: "
        "json: cannot unmarshal string into Go value of type embed.configYAML",
    ),
    bad_type("snapshot-count: abc\n", "string", "uint64"),
    bad_type('snapshot-count: "5"\n', "string", "uint64"),
    bad_type("snapshot-count: -1\n", "number -1", "uint64"),
    bad_type("snapshot-count: 1.5\n", "number 1.5", "uint64"),
    bad_type("snapshot-count: 99999999999999999999\n", "number 100000000000000000000", "uint64"),
    bad_type("name: y\n", "bool", "string"),
    bad_type("name: <<\nlog-outputs: =\n", "string", "[]string", key="log-outputs"),
    in_file("name: 5\ndata-dir: -.inf\n", "error converting YAML to JSON: json: unsupported value: -Inf"),
    bad_type("max-snapshots: true\n", "bool", "uint"),
    bad_type("grpc-keepalive-interval: 5s\n", "string", "time.Duration"),
    bad_type("pre-vote: maybe\n", "string", "bool"),
    bad_type("enable-v2: 1\n", "number", "bool"),
    bad_type("name: 123\n", "number", "string"),
    bad_type("name: true\n", "bool", "string"),
    bad_type("name: [a]\n", "array", "string"),
    bad_type("name: {a: b}\n", "object", "string"),
    bad_type("listen-client-urls: [a, b]\n", "array", "string"),
    bad_type("log-outputs: stderr\n", "string", "[]string"),
    bad_type("client-transport-security: x\n", "string", "embed.securityConfig"),
    in_file(
        "client-transport-security: {cert-file: 5}\n",
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number "
        "into Go struct field securityConfig.client-transport-security.cert-file of type string",
    ),
    in_file(
        "log-outputs: [stdout, 5]\n",
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number "
        "into Go struct field configYAML.log-outputs of type string",
    ),
)
CHOOSE_ONE = (
    'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"'
)
NO_LOCAL = 'couldn\'t find local name "default" in the initial cluster configuration'
AT_2380 = "--initial-cluster=default=http://localhost:2380"
EXISTING = "--initial-cluster-state=existing"
NOBODY = "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
FIRST_START = (
    Case(
        (*FREE, "--discovery=http://127.0.0.1:1/x", f"{AT_2380}"),
        1,
        CHOOSE_ONE,
    ),
    Case(
        (*FREE, "--discovery=http://127.0.0.1:1/x", "--discovery-srv=x"),
        1,
        CHOOSE_ONE,
    ),
    Case(
        (*FREE, EXISTING, "--discovery=http://127.0.0.1:1/x"),
        1,
        "discovery URL should not be set when joining existing initial cluster",
    ),
    Case((*FREE, EXISTING), 1, NOBODY),
    Case((*FREE, EXISTING, "--initial-cluster=default=http://nowhere.invalid:2380"), 1, NOBODY),
    Case((*FREE, EXISTING, f"{AT_2380},b=http://localhost:1"), 1, NOBODY),
    Case((*FREE, EXISTING, "--initial-cluster=a=http://localhost:2380"), 1, NO_LOCAL),
    Case(
        (*FREE, EXISTING, f"{AT_2380},b=http://localhost:2380"),
        1,
        "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url",
    ),
    Case((*FREE, "--initial-cluster=a=http://localhost:2380"), 1, NO_LOCAL),
    Case((*FREE, "--initial-cluster="), 1, NO_LOCAL),
    Case((*FREE, "--initial-cluster=,,"), 1, NO_LOCAL),
    Case((*FREE, "--initial-cluster=foo"), 1, f"error setting up initial cluster: {SCHEME}"),
    Case(
        (*FREE, "--initial-cluster=default=http://localhost:2381"),
        1,
        "--initial-cluster has default=http://localhost:2381 but missing from "
        '--initial-advertise-peer-urls=http://localhost:2380 ("http://localhost:2380"(resolved from '
        '"http://localhost:2380") != "http://localhost:2381"(resolved from "http://localhost:2381"))',
    ),
    Case(
        (*FREE, "--initial-advertise-peer-urls=http://localhost:2381"),
        1,
        "--initial-cluster has default=http://localhost:2380 but missing from "
        '--initial-advertise-peer-urls=http://localhost:2381 ("http://localhost:2381"(resolved from '
        '"http://localhost:2381") != "http://localhost:2380"(resolved from "http://localhost:2380"))',
    ),
    Case(
        (*FREE, f"{AT_2380},default=http://localhost:2381"),
        1,
        "--initial-cluster has default=http://localhost:2381 but missing from "
        '--initial-advertise-peer-urls=http://localhost:2380 (len(["http://localhost:2380"]) != '
        'len(["http://localhost:2380" "http://localhost:2381"]))',
    ),
    Case(
        (*FREE, AT_2380, "--initial-advertise-peer-urls=http://localhost:2380,http://10.0.0.1:1"),
        1,
        "--initial-advertise-peer-urls has http://10.0.0.1:1 but missing from "
        "--initial-cluster=default=http://10.0.0.1:1,default=http://localhost:2380",
    ),
    Case(
        (*FREE, f"{AT_2380},b=http://localhost:2380"),
        1,
        "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url",
    ),
    Case(
        (*FREE, "--listen-peer-urls=https://127.0.0.1:0"),
        1,
        "cannot listen on TLS for 127.0.0.1:0: KeyFile and CertFile are not presented",
    ),
    Case(
        (*FREE, "--listen-client-urls=https://127.0.0.1:0"),
        1,
        "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:0 with HTTPS scheme",
    ),
)
RETENTION = "error parsing CompactionRetention: time: "
UPKEEP = (
    Case((*FREE, "--auto-compaction-mode=foo"), 1, 'unknown auto-compaction-mode "foo"'),
    Case((*FREE, "--auto-compaction-retention=abc"), 1, f'{RETENTION}invalid duration "abc"'),
    Case((*FREE, "--auto-compaction-retention=-1"), 1, f'{RETENTION}missing unit in duration "-1"'),
    Case((*FREE, "--auto-compaction-retention=1.5"), 1, f'{RETENTION}missing unit in duration "1.5"'),
    Case((*FREE, "--auto-compaction-retention=1d"), 1, f'{RETENTION}unknown unit "d" in duration "1d"'),
    Case(
        (*FREE, "--auto-compaction-mode=revision", "--auto-compaction-retention=-5"),
        1,
        f'{RETENTION}missing unit in duration "-5"',
    ),
    Case(
        ("--experimental-corrupt-check-time=abc",),
        2,
        'invalid value "abc" for flag -experimental-corrupt-check-time: parse error',
    ),
    Case(
        ("--experimental-bootstrap-defrag-threshold-megabytes=-1",),
        2,
        'invalid value "-1" for flag -experimental-bootstrap-defrag-threshold-megabytes: parse error',
    ),
    Case(
        ("--experimental-initial-corrupt-check=maybe",),
        2,
        'invalid boolean value "maybe" for -experimental-initial-corrupt-check: parse error',
    ),
)
SAME_AS_ETCD = (*FLAG_SYNTAX, *VALUES, *URLS, *CHECKS, *ENVIRONMENT, *FILES, *FIRST_START, *UPKEEP)

OURS = (
    Case(("--discovery-token=t",), 1, "both --discovery-token and --discovery-endpoints must be set"),
    Case(
        ("--discovery-endpoints=http://127.0.0.1:1",), 1, "both --discovery-token and --discovery-endpoints must be set"
    ),
    Case(
        ("--discovery-endpoints=http://127.0.0.1:1", "--discovery=http://127.0.0.1:1/x"),
        1,
        "multiple discovery or bootstrap flags are set. Choose one of "
        '"initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"',
    ),
    Case(
        ("--tls-min-version=TLS1.1",), 1, 'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)'
    ),  # these flags came with etcd 3.5.8
    Case(("--tls-max-version=1.3",), 1, 'unexpected TLS version "1.3" (must be one of: TLS1.2, TLS1.3)'),
    Case(
        ("--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"),
        1,
        "min version (TLS1.3) is greater than max version (TLS1.2)",
    ),
    Case(
        ("--tls-min-version=TLS1.3", "--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"),
        1,
        "cipher suites cannot be configured when only TLS1.3 is enabled",
    ),
    Case(("--listen-client-http-urls=http://foo:1",), 1, "expected IP in URL for binding (http://foo:1)"),
    Case(
        ("--listen-client-http-urls=http://localhost:2379",),
        1,
        "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379",
    ),
    Case(  # etcd starts, with an interval that lies in the past
        ("--auto-compaction-retention=-1h",),
        1,
        'error parsing CompactionRetention: negative duration "-1h"',
    ),
    Case(("--log-outputs=systemd/journal",), 2, "--log-outputs=systemd/journal is not supported yet"),
    Case(
        ("--max-concurrent-streams=x",),
        2,
        ('invalid value "x" for flag -max-concurrent-streams: strconv.ParseUint: parsing "x": invalid syntax'),
    ),
    Case(
        ("--max-concurrent-streams=4294967296",),
        2,
        (
            'invalid value "4294967296" for flag -max-concurrent-streams: '
            'strconv.ParseUint: parsing "4294967296": value out of range'
        ),
    ),
    Case(("--actor-placement=foo",), 2, 'invalid value "foo" for flag -actor-placement: invalid value'),
    Case(("--log-format=xml",), 1, "unknown log format: xml, supported values json, console"),
    in_file(
        "peer-transport-security: {allowed-cn: a}\n",
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field "
        "securityConfig.peer-transport-security.allowed-cn of type []string",
    ),
    in_file("a: b: c\n", "error converting YAML to JSON: yaml: line 1: mapping values are not allowed here"),
    Case(
        ("--initial-cluster=default=http://nowhere.invalid:2380",),
        1,
        "--initial-cluster has default=http://nowhere.invalid:2380 but missing from "
        "--initial-advertise-peer-urls=http://localhost:2380 (failed to resolve "
        '"http://nowhere.invalid:2380" (unknown))',
    ),
)
"""Where etcd 3.5.1 has no such flag, or can do what we cannot yet."""


def resolve(host: str) -> str:
    """A name server with one name."""
    if host == "one.example":
        return "10.0.0.1"
    raise OSError("unknown")


def give(case: Case, **host: object) -> MemberConfig | ExitRequest:
    return read(case.argv, case.env, host_of(case, **host)).outcome


def host_of(case: Case, **host: object) -> Host:
    def read_file(path: str) -> str:
        if path != FILE:
            raise FileNotFoundError(2, "No such file or directory", path)
        return case.file

    return Host(read_file=read_file)._replace(**host)


def verdict(case: Case) -> tuple[int, str]:
    """Exit status and the last thing said about it; (-1, "") if the member would start."""
    reading = read(case.argv, case.env, host_of(case))
    outcome = reading.outcome
    if isinstance(outcome, MemberConfig):
        error = bootstrap.listen_error(outcome) or first_start_error(outcome, resolve)
        error = error or bootstrap.retention_error(outcome) or _decision_error(outcome)
        return (1, error) if error else (-1, "")
    fatal = [note.msg for note in reading.early if note.level == "fatal"]
    printed = outcome.stderr.splitlines()
    return outcome.code, "".join(fatal) or outcome.error or printed[-1 if outcome.code else 0]


def _decision_error(config: MemberConfig) -> str | None:
    """What else keeps it from joining a cluster, when nobody is there."""
    try:
        if config.initial_cluster_state == "existing":
            decide(config, resolve)
    except BootstrapError as error:
        return str(error)
    return None
