"""The business beside the AI: databases, analytics, networks and the many small services of every company."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from examples.gcp_company import Meter
from examples.gcp_usage import EU, RESEARCH, SERVING
from examples.meters import random_for

_Service: TypeAlias = tuple[str, str, str]
_Sku: TypeAlias = tuple[float, str, float, tuple[str, float] | None]

_SERVICES: Final[Mapping[_Service, Mapping[str, _Sku]]] = {
    # SKU: dollars a unit, unit, units an hour, and the credit where there is one.
    (SERVING, "9662-B51E-5089", "Cloud SQL"): {
        "Cloud SQL for PostgreSQL: Regional - vCPU in Americas": (0.0826, "hour", 96.0, None),
        "Cloud SQL for PostgreSQL: Regional - RAM in Americas": (0.014, "gibibyte hour", 624.0, None),
    },
    (SERVING, "24E6-581D-38E5", "BigQuery"): {
        "Analysis (us-central1)": (0.00610, "gibibyte", 3900.0, ("DISCOUNT", 0.08)),
        "Active Logical Storage (us-central1)": (0.02, "gibibyte month", 150.0, None),
    },
    (SERVING, "E505-1604-58F8", "Networking"): {
        "Network Internet Data Transfer Out from Americas to Americas": (0.085, "gibibyte", 120.0, None),
    },
    (SERVING, "6F81-5844-456A", "Compute Engine"): {
        "Network Inter Zone Data Transfer Out": (0.01, "gibibyte", 300.0, None),
    },
    (SERVING, "152E-C115-5142", "Cloud Run"): {
        "Services CPU (Request-based billing) in us-central1": (0.0864, "hour", 11.0, ("FREE_TIER", 0.03)),
        "Services Memory (Request-based billing) in us-central1": (0.009, "gibibyte hour", 40.0, ("FREE_TIER", 0.03)),
    },
    (SERVING, "CCD8-9BF1-090E", "Kubernetes Engine"): {
        "Regional Kubernetes Clusters": (0.1, "hour", 2.0, None),
    },
    (SERVING, "5490-F7B7-8DF6", "Cloud Logging"): {
        "Log Storage cost": (0.5, "gibibyte", 13.0, None),
    },
    (RESEARCH, "5490-F7B7-8DF6", "Cloud Logging"): {
        "Log Storage cost": (0.5, "gibibyte", 4.0, None),
    },
    (SERVING, "58CD-E7C3-72CA", "Cloud Monitoring"): {
        "Prometheus Samples Ingested": (6e-8, "count", 4.0e7, None),
    },
    (SERVING, "A1E8-BE35-7EBC", "Cloud Pub/Sub"): {
        "Message Delivery Basic": (0.0391, "gibibyte", 18.0, ("FREE_TIER", 0.02)),
    },
    (EU, "9662-B51E-5089", "Cloud SQL"): {
        "Cloud SQL for MySQL: Zonal - vCPU in Frankfurt": (0.0496, "hour", 32.0, None),
        "Cloud SQL for MySQL: Zonal - RAM in Frankfurt": (0.0084, "gibibyte hour", 208.0, None),
    },
    (EU, "24E6-581D-38E5", "BigQuery"): {
        "Analysis (europe-west3)": (0.00793, "gibibyte", 900.0, ("DISCOUNT", 0.08)),
    },
    (EU, "E505-1604-58F8", "Networking"): {
        "Network Internet Data Transfer Out from Frankfurt to EMEA": (0.085, "gibibyte", 60.0, None),
    },
    (EU, "74B1-77CF-C302", "Vertex AI Search"): {
        "Vertex AI Search: Search API Request Count - Enterprise": (0.004, "count", 300.0, None),
    },
}

_SMALL: Final = (
    ("2062-016F-44A2", "Secret Manager", "Secret version access"),
    ("6E13-52BF-1C45", "Cloud KMS", "Active software symmetric key versions"),
    ("CAE2-A537-4A95", "Cloud Scheduler", "Jobs"),
    ("29E7-DA93-CA13", "Cloud Functions", "Invocations"),
    ("FA26-5236-A8F4", "Cloud DNS", "DNS Query (port 53)"),
    ("7C5F-42E1-90DB", "Artifact Registry", "Artifact Registry Storage"),
)
_SMALL_RESOURCES: Final = 1


def meters(seed: int) -> Iterator[Meter]:
    """Meter the services that matter to nobody here but make up much of the bill's length."""
    for (project, code, service), skus in _SERVICES.items():
        team, workload = ("support", "inference") if service == "Vertex AI Search" else ("platform", "not_ai")
        for sku, (price, unit, quantity, credit) in skus.items():
            yield Meter(project=project, service=(code, service), sku=sku, price=price, unit=unit, quantity=quantity,
                        jitter=0.2, credit=credit, growth=1.02, workload=workload, team=team,
                        labels={"team": team})  # fmt: skip
    for project in (RESEARCH, SERVING, EU):
        for code, service, sku in _SMALL:
            for number in range(_SMALL_RESOURCES):
                chance = random_for(seed, "gcp tail", project, sku, number)
                yield Meter(project=project, service=(code, service), sku=sku, price=chance.uniform(1e-6, 4e-5),
                            unit="count", quantity=chance.uniform(50, 9000), jitter=0.6, workload="not_ai",
                            resource=f"{service.lower().replace(' ', '-')}-{number}", team="platform")  # fmt: skip
