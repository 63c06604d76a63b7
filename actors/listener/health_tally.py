"""How the health checks of a listener came out, for /metrics: /health, and each check of /livez and /readyz."""

from collections import Counter
from typing import Any

from actors.listener.health_checks import CHECKS


class HealthTally:
    """Of one listener."""

    def __init__(self) -> None:
        self._success = self._failures = 0
        self._checks: Counter[tuple[str, str, str]] = Counter()
        """By name, status and type."""
        self._latest = {(name, kind): 0 for kind, names in CHECKS.items() for name in names}
        """Whether it was passed the last time; by name and type. 0 as well before the first, as in etcd."""

    def note_health(self, is_ok: bool) -> None:
        """One /health."""
        if is_ok:
            self._success += 1
        else:
            self._failures += 1

    def note_check(self, kind: str, name: str, is_ok: bool) -> None:
        """kind: livez or readyz"""
        self._checks[name, "success" if is_ok else "error", kind] += 1
        self._latest[name, kind] = int(is_ok)

    def metrics(self) -> dict[str, Any]:
        """By the names of figures in etcdz.telemetry.families."""
        return {
            "health_success": self._success,
            "health_failures": self._failures,
            "healthchecks": list(self._checks.items()),
            "healthcheck": list(self._latest.items()) if self._checks else [],
        }
