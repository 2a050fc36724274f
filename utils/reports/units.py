"""Numbers as people read them: 62.0 M, 65.3 G, 23.7 MB, 12.4 ms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def count(value: float | None) -> str:
    """`62 001 757` -> `62.00 M`; below ten thousand the number itself. Powers of 1000."""
    return _scaled(value, ("", " k", " M", " G", " T"), from_=10_000)


def file_size(size_bytes: float | None) -> str:
    """`248007048` -> `248.01 MB`: powers of 1000, as disks and download pages count."""
    return _scaled(size_bytes, (" B", " kB", " MB", " GB", " TB"), from_=1000)


def percent(share: float | None, digits: int = 1) -> str:
    """`0.123` -> `12.3 %`; None and NaN come out empty and as `-`."""
    if share is None:
        return ""
    return "-" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def score(value: float | None) -> str:
    """A mAP, precision or the like: `0.533`; `-` where it is not defined (NaN)."""
    if value is None:
        return ""
    return "-" if math.isnan(value) else f"{value:.4f}"


def milliseconds(value_ms: float | None) -> str:
    """`12.4 ms`, `0.83 ms`, `617 ms`: three digits that matter."""
    if value_ms is None:
        return ""
    digits = 0 if value_ms >= 100 else 1 if value_ms >= 10 else 2
    return f"{value_ms:.{digits}f} ms"


def latency(measured: Mapping[str, object] | None) -> str:
    """One line about a measured latency.

    Args:
        measured: `median_ms` and, where known, `p95_ms`, `threads`, `repeats`, `warmup`, `engine`, `batch`, as
            `dataclasses.asdict` of a `utils.deploy.Latency` gives them.

    Returns:
        `12.4 ms median, 13.9 ms p95 (opencv, 2 threads, batch 1, 50 runs after 5 of warm-up)`.
    """
    if not measured:
        return "not measured"
    text = f"{milliseconds(_number(measured, 'median_ms'))} median"
    if measured.get("p95_ms") is not None:
        text += f", {milliseconds(_number(measured, 'p95_ms'))} p95"
    about = [str(measured["engine"])] if measured.get("engine") else []
    if measured.get("threads"):
        about.append(f"{measured['threads']} thread{'s' if measured['threads'] != 1 else ''}")
    if measured.get("batch"):
        about.append(f"batch {measured['batch']}")
    if measured.get("repeats"):
        about.append(f"{measured['repeats']} runs"
                     + (f" after {measured['warmup']} of warm-up" if measured.get("warmup") else ""))
    return text + (f" ({', '.join(about)})" if about else "")


def _number(measured: Mapping[str, Any], key: str) -> float:
    return float(measured[key])


def _scaled(value: float | None, units: tuple[str, ...], from_: int) -> str:
    if value is None:
        return ""
    if abs(value) < from_:
        return f"{value:g}{units[0]}"
    power = min(int(math.log10(abs(value)) // 3), len(units) - 1)
    if round(abs(value) / 1000**power, 2) >= 1000 and power < len(units) - 1:  # 999 999 is 1.00 M, not 1000.00 k
        power += 1
    return f"{value / 1000**power:.2f}{units[power]}"


def gflops(value: float | None) -> str:
    """Billions of operations: `2.064`; nothing for None."""
    return "" if value is None else f"{value:.3f}"
