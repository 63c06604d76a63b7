"""Numbers in six characters at most."""


def count(value: float | None) -> str:
    """-, 0, 0.5, 999, 12.3k, 4.5M."""
    if value is None:
        return "-"
    if 0 < value < 0.95:
        return f"{value:.1f}" if value >= 0.05 else "<0.1"
    if value < 9_999.5:
        return f"{value:.0f}"
    return f"{value / 1e3:.1f}k" if value < 999_950 else f"{value / 1e6:.1f}M"


def size(bytes_: int) -> str:
    """Bytes: 0K, 512K, 36M, 1.2G."""
    if bytes_ < 1 << 20:
        return f"{bytes_ >> 10}K"
    return f"{bytes_ / (1 << 20):.0f}M" if bytes_ < 1000 << 20 else f"{bytes_ / (1 << 30):.1f}G"


def byte_rate(per_s: float | None) -> str:
    """Bytes a second: -, 0B, 640B, 12K, 36M."""
    if per_s is None:
        return "-"
    return f"{per_s:.0f}B" if per_s < 1023.5 else size(round(per_s))


def micros(us: float | None) -> str:
    """Microseconds: -, 85us, 3.2ms, 840ms, 4.1s."""
    if us is None:
        return "-"
    if us < 1000:
        return f"{us:.0f}us"
    if us < 9_950:
        return f"{us / 1000:.1f}ms"
    return f"{us / 1000:.0f}ms" if us < 999_500 else f"{us / 1e6:.1f}s"


def duration(seconds: float) -> str:
    """0s, 59s, 3m04s, 5h02m, 9d03h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
