"""One member from its start to its end: `run(config)` is what `etcdz` calls."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etcdz.bootstrap import data_kind
from etcdz.bootstrap.errors import BootstrapError, DiscoveryError
from etcdz.config import MemberConfig
from etcdz.migration.errors import MigrationError
from etcdz.net.address import AddressError
from etcdz.net.claim import Claim
from etcdz.telemetry import logs
from supervisor import rules
from supervisor.control import verbs
from supervisor.control.order_verbs import Operator
from supervisor.control.socket import ControlSocket
from supervisor.processes import linux
from supervisor.processes.first_zygote import PRIVATE, FirstZygote
from supervisor.runtime import announcements, certificates, data_dir, founding, stack_report, takeover, token_keys
from supervisor.runtime.certificates import CertificateError
from supervisor.runtime.client_addresses import ClientAddresses
from supervisor.runtime.context import Member
from supervisor.runtime.data_dir import DataDir, DataDirError
from supervisor.runtime.host_process import HostProcess
from supervisor.runtime.loop import Loop
from supervisor.runtime.signals import Signals
from supervisor.tree import PROXY_TREE, TREE, ChildSpec, TreeError, check, tree_for

log = logs.get("supervisor")


def run(config: MemberConfig, tree: tuple[ChildSpec, ...] = TREE, first_zygote: FirstZygote | None = None) -> int:
    """Run the member until it is told to stop or cannot go on.

    first_zygote    one that was forked already, with the modules of this tree
    return  exit status: 1 if it could not start or stopped by itself, with the reason in the log
            2 after SIGQUIT, with the stacks of all processes in the log
    NB: after an ordered stop by SIGINT, SIGTERM or SIGHUP this process ends by that signal, as etcd does, and nothing
        returns
    """
    settings = config.to_dict()
    logs.configure(settings, behind=True)
    try:
        if config.proxy != data_kind.OFF:
            return _run_proxy(config, settings)
        return _run(config, settings, tree, first_zygote)
    finally:
        logs.flush(logs.LAST_LINES_S)


def _run_proxy(config: MemberConfig, settings: dict[str, object]) -> int:
    """As run. NB: what it answers is no secret of this process: unix sockets are as open as the umask has them."""
    log.info("v2 API proxy starting")
    umask = os.umask(PRIVATE)
    try:
        specs = tree_for(settings, PROXY_TREE)
        if config.is_discovered and not (Path(config.data_dir) / "proxy" / "cluster").exists():
            raise DataDirError("a proxy finds the members by --initial-cluster; discovery is for members alone")
        data = data_dir.take(config.data_dir)
    except (TreeError, DataDirError) as error:
        log.fatal("failed to start etcdz", error=str(error))
        return 1
    try:
        (Path(config.data_dir) / "proxy").mkdir(exist_ok=True)
        config = certificates.prepare(config)
        with _claim_peers(config, specs, umask) as peers, _claim_clients(config, specs, umask) as clients:
            settings = {**config.to_dict(), **clients.urls}
            failure, stop_signal = _run_tree(settings, specs, data, peers, clients, None)
    except CertificateError as error:
        certificates.failed(error)
        return 1
    except (AddressError, OSError) as error:
        log.fatal("failed to start the proxy", error=str(error))
        return 1
    finally:
        data.release()
    if failure:
        log.fatal("the proxy has stopped", reason=failure)
        return 1
    return _end_by(stop_signal)


def _run(
    config: MemberConfig, settings: dict[str, object], tree: tuple[ChildSpec, ...], first_zygote: FirstZygote | None
) -> int:
    umask = os.umask(PRIVATE)  # of all processes of the member, LevelDB's own files included
    try:
        specs = rules.applied(config.actor_rules, tree_for(settings, tree))
        check(specs)
        data = data_dir.take(config.data_dir)
    except (TreeError, DataDirError) as error:
        log.fatal("failed to start etcdz", error=str(error))
        return 1
    try:
        work = takeover.find_work(config)
        config = certificates.prepare(config)
        settings = config.to_dict()
        with _claim_peers(config, specs, umask) as peers, _claim_clients(config, specs, umask) as clients:
            announcements.starting(config, peers.urls, clients.urls["listen_client_urls"])
            token_keys.check(config)
            settings = {**settings, "listen_peer_urls": peers.urls, **clients.urls}
            failure, stop_signal = "", takeover.do_work(config, data, work)
            if not stop_signal:
                decided, stop_signal = founding.settle(config)
                settings = {**settings, "founding": decided and decided.to_dict()}
            if not stop_signal:
                failure, stop_signal = _run_tree(settings, specs, data, peers, clients, first_zygote)
    except MigrationError as error:
        log.fatal("failed to start etcdz", error=str(error))
        return 1
    except CertificateError as error:
        certificates.failed(error)
        return 1
    except (AddressError, BootstrapError) as error:
        announcements.closing(settings)
        announcements.closed(settings)
        if isinstance(error, DiscoveryError):
            announcements.not_discovered(settings, error.reason, str(error))
        else:
            announcements.refused(str(error))
        return 1
    finally:
        data.release()
    if failure:
        log.fatal("the member has stopped", reason=failure)
        return 1
    announcements.closed(settings)
    return _end_by(stop_signal)


def _claim_peers(config: MemberConfig, specs: tuple[ChildSpec, ...], umask: int) -> Claim:
    """The addresses on which this tree will listen for other members.

    umask: who may connect to unix sockets. raises AddressError
    """
    announcements.configuring_peers(config)
    urls = config.listen_peer_urls if any(spec.peer_sockets for spec in specs) else ()
    with _umask(umask):
        return Claim(urls, config.socket_reuse_port, sockets=1)


def _claim_clients(config: MemberConfig, specs: tuple[ChildSpec, ...], umask: int) -> ClientAddresses:
    """The addresses on which this tree will listen for clients; umask and raises as of _claim_peers"""
    announcements.configuring_clients(config)
    with _umask(umask):
        return ClientAddresses(config, any(spec.listen_sockets for spec in specs))


@contextmanager
def _umask(umask: int) -> Iterator[None]:
    os.umask(umask)
    try:
        yield
    finally:
        os.umask(PRIVATE)


def _run_tree(
    settings: dict[str, object],
    specs: tuple[ChildSpec, ...],
    data: DataDir,
    peers: Claim,
    clients: ClientAddresses,
    first_zygote: FirstZygote | None,
) -> tuple[str, int]:
    """return (why the member stopped by itself, the signal that told it to)."""
    linux.become_subreaper()
    signals = Signals()
    member = Member(settings, specs, data, clients.listen_sockets, peers.listen_sockets, first_zygote)
    operator = Operator(member)
    server = ControlSocket(member, operator, verbs.table(operator), verbs.LOOKS)
    host = HostProcess(int(str(settings["stop_with_pid"])))
    loop = Loop(member, signals, server, host)
    try:
        data.publish()
        linux.trim_heap()
        return loop.run(), loop.stop_signal
    finally:
        server.close()
        member.close()
        host.close()
        signals.restore()


def _end_by(signum: int) -> int:
    """End by the signal, as if it had not been caught, so that the parent sees it; a container's init cannot."""
    if signum == signal.SIGQUIT:
        return stack_report.EXIT_STATUS
    if signum and os.getpid() != 1:
        logs.flush(logs.LAST_LINES_S)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
    return 0
