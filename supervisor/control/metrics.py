"""/metrics in Prometheus' text format. Nothing is counted or read but when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from supervisor.control.types import Counts
from supervisor.control.usage import Usage
from supervisor.machine import Status
from supervisor.status import WorkloadStatus

TYPE = CONTENT_TYPE_LATEST

_USAGE: tuple[tuple[str, type[Metric], str, str], ...] = (
    ("cpu", CounterMetricFamily, "cpu_seconds", "CPU time used."),
    ("throttled", CounterMetricFamily, "cpu_throttled_seconds", "Time held back by its CPU limit."),
    ("memory", GaugeMetricFamily, "memory_bytes", "Memory in use, page cache included."),
    ("memory_peak", GaugeMetricFamily, "memory_peak_bytes", "The most memory it has used."),
    ("memory_limit", GaugeMetricFamily, "memory_limit_bytes", "Its memory limit, if it has one."),
    ("swap", GaugeMetricFamily, "swap_bytes", "Swap in use."),
    ("pids", GaugeMetricFamily, "pids", "Processes and threads."),
    ("pids_limit", GaugeMetricFamily, "pids_limit", "How many it may have."),
    ("read_bytes", CounterMetricFamily, "io_read_bytes", "Bytes read from block devices."),
    ("written_bytes", CounterMetricFamily, "io_written_bytes", "Bytes written to block devices."),
)


def expose(
    about: Mapping[str, Any],
    statuses: Sequence[WorkloadStatus],
    counts: Counts,
    usages: Sequence[Usage],
) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once([*_creched(about), *_workloads(statuses, counts), *_usages(usages)]))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics

    def describe(self) -> list[Metric]:
        return []  # nothing else shares the registry, so names need not be compared


def _creched(about: Mapping[str, Any]) -> Iterator[Metric]:
    info = GaugeMetricFamily("creched_info", "creched itself; always 1.", labels=["release", "run"])
    info.add_metric([about["release"], about["run"]], 1)
    yield info
    yield CounterMetricFamily("creched_events", "Events of this boot.", value=about["seq"])
    yield GaugeMetricFamily("creched_workloads", "Workloads it has.", value=about["workloads"])


def _workloads(statuses: Sequence[WorkloadStatus], counts: Counts) -> Iterator[Metric]:
    by_name = ["workload"]
    state = GaugeMetricFamily(
        "creche_workload_status", "1 for the status it has.", labels=[*by_name, "status"]
    )
    ready = GaugeMetricFamily("creche_workload_ready", "1 when it is ready.", labels=by_name)
    health = GaugeMetricFamily(
        "creche_workload_healthy", "1 healthy, 0 not; absent: not probed.", labels=by_name
    )
    restarts = CounterMetricFamily(
        "creche_workload_restarts", "Restarts by its policy.", labels=by_name
    )
    window = GaugeMetricFamily(
        "creche_workload_window_restarts", "Restarts that count against its limit.", labels=by_name
    )
    started = GaugeMetricFamily(
        "creche_workload_started_seconds",
        "When its program was started, in seconds since boot.",
        labels=by_name,
    )
    problems = GaugeMetricFamily(
        "creche_workload_problems", "Mistakes in its files, which are not used.", labels=by_name
    )
    for found in statuses:
        # What is refused may have any bytes for a name.
        label = [found.name.encode("utf-8", "replace").decode()]
        for status in Status:
            state.add_metric([*label, status.value], float(found.status == status.value))
        problems.add_metric(label, len(found.problems))
        ready.add_metric(label, float(found.ready))
        if found.health is not None:
            health.add_metric(label, float(found.health == "healthy"))
        restarts.add_metric(label, found.restarts)
        window.add_metric(label, found.window_used)
        if found.pid is not None and found.started_at is not None:
            started.add_metric(label, found.started_at)
    exits = CounterMetricFamily(
        "creche_workload_exits", "Runs that ended, by cause.", labels=[*by_name, "cause"]
    )
    for (name, cause), count in sorted(counts.items()):
        exits.add_metric([name, cause], count)
    return iter((state, ready, health, restarts, window, started, problems, exits))


def _usages(usages: Sequence[Usage]) -> Iterator[Metric]:
    for field, kind, name, meaning in _USAGE:
        family: Any = kind(f"creche_workload_{name}", meaning, labels=["workload"])  # type: ignore[call-arg]
        for usage in usages:
            value = getattr(usage, field)
            if value is not None:
                family.add_metric([usage.workload], value)
        yield family
    labels = ["workload", "resource", "kind"]
    waits = CounterMetricFamily(
        "creche_workload_pressure_seconds",
        "Time its processes waited for a resource: `some` of them, or all (`full`).",
        labels=labels,
    )
    share = GaugeMetricFamily(
        "creche_workload_pressure_ratio", "The same as a share of the last 10 s.", labels=labels
    )
    for usage in usages:
        for pressure in usage.pressure:
            label = [usage.workload, pressure.resource, pressure.kind]
            waits.add_metric(label, pressure.seconds)
            share.add_metric(label, pressure.avg10 / 100)
    yield waits
    yield share
