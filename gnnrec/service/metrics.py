"""`Metrics`: the metrics for Prometheus at ``/api/v1/metrics``."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one process.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.observe("GET", "/api/v1/health", 200, 0.002)
    >>> 'gnnrec_requests_total{method="GET",route="/api/v1/health",status="200"} 1.0' in metrics.text()
    True
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "gnnrec_requests_total", "Answered requests.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "gnnrec_request_seconds",
            "Time of an answer.",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self._registry,
        )
        self._loaded = Gauge(
            "gnnrec_model_loaded_timestamp_seconds", "When the model was loaded.", registry=self._registry
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response."""
        counter, histogram = self._labeled(method, route, status)
        counter.inc()
        histogram.observe(seconds)

    def _labeled(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        key = method, route, status
        if key not in self._children:  # looking up labels takes longer than counting
            self._children[key] = self._requests.labels(method, route, str(status)), self._seconds.labels(route)
        return self._children[key]

    def text(self, loaded_at: float = 0.0) -> str:
        """Return all metrics in the format of Prometheus."""
        self._loaded.set(loaded_at)
        return generate_latest(self._registry).decode()
