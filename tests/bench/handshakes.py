"""What TLS handshakes cost, and what a storm of them does to clients that are connected: for people to read.

    python -m tests.bench.handshakes cost           CPU of the server's end for one handshake, by keys and certificates
    python -m tests.bench.handshakes storm          latency of lone gets while others connect

The storm's clients are a process of their own. On a machine with few CPUs they take these from the listener and from
the client that is measured, so that the latency is more than the listener's own part of it.
"""

import argparse
import asyncio
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

from etcdz.proto import etcdserverpb as pb
from etcdz.testing.certificates import Issued
from etcdz.tls import contexts
from etcdz.tls.settings import TlsSettings
from etcdz.wire.tls_session import TlsSession
from tests.process.load import open_channel, unary
from tests.secure_members import PUBLIC_NAME, Pki, SecureEtcd, SecureEtcdz, SecureMember, make_pki

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def handshake_cpu_us(pki: Pki, with_client_certificate: bool, version: ssl.TLSVersion, count: int = 200) -> float:
    """Median CPU time of the server's end."""
    settings = TlsSettings(
        cert_file=str(pki.server.cert),
        key_file=str(pki.server.key),
        trusted_ca_file=str(pki.authority.ca) if with_client_certificate else "",
    )
    server_side = contexts.server_context(settings, ("h2",))
    client_side = client_context(pki, pki.alice if with_client_certificate else None)
    client_side.maximum_version = version
    took = []
    for _ in range(count):
        client = TlsSession(client_side, False, PUBLIC_NAME)
        client.receive(b"")
        began = time.thread_time()
        server = TlsSession(server_side, True)
        spent = time.thread_time() - began
        while not (server.is_established and client.is_established):
            data = client.outgoing()
            began = time.thread_time()
            server.receive(data)
            answer = server.outgoing()
            spent += time.thread_time() - began
            client.receive(answer)
        took.append(spent * 1e6)
    return median(took)


def client_context(pki: Pki, own: Issued | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki.authority.ca))
    context.set_alpn_protocols(["h2"])
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    return context


def cost(pki: Pki) -> None:
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        for with_certificate in (False, True):
            took = handshake_cpu_us(pki, with_certificate, version)
            words = "with" if with_certificate else "without"
            print(f"{version.name} {words:7} client certificate  {took:6.0f} us  {1e6 / took:6.0f}/s/core", flush=True)


def rush(target: str, ca: Path, own: Issued, count: int) -> None:
    """In a process of its own: so many connections as fast as they come about, all held to the end."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(own.cert, own.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = target.rpartition(":")
    held: list[asyncio.StreamWriter] = []
    failed: list[Exception] = []

    async def connect() -> None:
        try:
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=PUBLIC_NAME)
            writer.write(PREFACE)
            await reader.readexactly(9)
            held.append(writer)
        except (OSError, EOFError) as error:
            failed.append(error)

    async def all_at_once() -> None:
        await asyncio.gather(*[connect() for _ in range(count)])

    began = time.monotonic()
    asyncio.run(all_at_once())
    print(f"{len(held)} connected, {len(failed)} failed in {time.monotonic() - began:.2f} s {failed[:1]}", flush=True)


def storm(pki: Pki, kind: type[SecureMember], count: int, directory: Path) -> None:
    flags = [f"--cert-file={pki.server.cert}", f"--key-file={pki.server.key}", "--client-cert-auth"]
    flags += [f"--trusted-ca-file={pki.authority.ca}"]
    member = kind(directory, *flags)
    member.ca, member.own = pki.authority.ca, pki.alice
    with member, open_channel(member.target) as channel:
        get = unary(channel, "KV/Range", pb.RangeResponse)
        request = pb.RangeRequest(key=b"key")
        get(request, timeout=30, wait_for_ready=True)
        before: list[float] = []
        _measure(lambda: get(request, timeout=30), lambda: len(before) >= 500, before)
        words = [sys.executable, "-m", "tests.bench.handshakes", "rush", member.target, str(pki.authority.ca)]
        words += [str(pki.alice.cert), str(pki.alice.key), str(count)]
        done = threading.Event()
        said: list[str] = []

        def run() -> None:
            said.append(subprocess.run(words, capture_output=True, text=True, cwd=Path.cwd()).stdout.strip())
            done.set()

        threading.Thread(target=run).start()
        during: list[float] = []
        _measure(lambda: get(request, timeout=30), done.is_set, during)
        print(f"{kind.kind}: {said[0]}; refused: {Counter(member.rejections())}")
        for name, found in (("before", before), ("during", during)):
            found.sort()
            shown = [f"p{percent} {_percentile(found, percent) * 1e3:.1f} ms" for percent in (50, 99)]
            print(f"  {name} {len(found)} gets, {', '.join(shown)}, longest {found[-1] * 1e3:.1f} ms", flush=True)


def _measure(call: Callable[[], object], is_over: Callable[[], bool], found: list[float]) -> None:
    while not is_over():
        began = time.monotonic()
        call()
        found.append(time.monotonic() - began)


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def main(words: list[str]) -> int:
    if words[:1] == ["rush"]:
        target, ca, cert, key, count = words[1:]
        rush(target, Path(ca), Issued(Path(cert), Path(key), 0), int(count))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.bench.handshakes", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["cost", "storm"])
    parser.add_argument("--count", type=int, default=1_000, help="connections of the storm (default 1000)")
    parser.add_argument("--subject", choices=["etcdz", "etcd"], default="etcdz")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="handshakes-") as name:
        pki = make_pki(Path(name) / "pki")
        if arguments.what == "cost":
            cost(pki)
        else:
            kind = SecureEtcdz if arguments.subject == "etcdz" else SecureEtcd
            storm(pki, kind, arguments.count, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
