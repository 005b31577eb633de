"""What a row is that the connector asked for it cannot read, and which connector reads such a thing instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Fields that tell a kind of document → what it is and what to do.
KINDS: Final = (
    (
        {"BilledCost", "ChargePeriodStart", "ConsumedUnit"},
        (
            "is a line of a FOCUS file: a provider's bill is read by `focus`; LiteLLM's export is only its estimate "
            "and counts requests, so read its spend logs by `litellm`"
        ),
    ),
    (
        {"starting_at", "ending_at", "results"},
        "is a bucket of Anthropic's reports: `anthropic` asks its Admin API for costs and messages usage",
    ),
    (
        {"timespan", "interval", "namespace", "value"},
        (
            "is an answer of Azure Monitor, which does not tell cached tokens apart: read a gateway's or traces' logs "
            "by `litellm` or `otel_genai`, or a table of your own by `generic_tokens`"
        ),
    ),
    (
        {"resourceMetrics"},
        "holds metrics, which do not tell cached tokens apart: export spans, and read them by `otel_genai`",
    ),
    (
        {"metrics", "cost_basis"},
        "describes metrics of a Prometheus and holds no usage: `prometheus` reads the servers' own token counters",
    ),
)


def misplaced(item: Mapping[str, Any]) -> str | None:
    """Say what a row is and who reads it; None where nothing is known of it."""
    return next((said for fields, said in KINDS if fields <= item.keys()), None)
