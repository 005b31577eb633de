"""What a row or file is that the connector asked for it cannot read, and which connector reads such a thing instead."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from models.errors import BadInput

# The first line of what an exporter or server answers under `/metrics`: a comment, or a name, its labels and a number.
_SCRAPE: Final = re.compile(
    rb"# (?:HELP|TYPE) [a-zA-Z_:]|[a-zA-Z_:][\w:]*(?:\{[^}]*\})? [-+]?(?:[0-9][0-9.eE+-]*|NaN|Inf)\s"
)
_LONGEST: Final = 1 << 14
LITELLM_FOCUS: Final = (
    "is of LiteLLM's FOCUS export, which estimates costs and counts requests: it is no provider's bill"
)
LITELLM_FOCUS_FIX: Final = "Read LiteLLM's spend logs by `litellm`; they divide the provider's own bill, or estimate it"
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


def refuse_scrape(path: Path, name: str) -> None:
    """Refuse a scrape of metrics in Prometheus' text format, which looks like a table of one odd column.

    Raises:
        BadInput: it is one.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST)
    if start.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as file:
                start = file.read(_LONGEST)
        except (OSError, EOFError):
            return  # Whoever reads it says what is wrong with it.
    if _SCRAPE.match(start + b"\n"):
        problem = "is a scrape of metrics: counters of one moment, which say nothing of hours"
        raise BadInput(name, problem, "Let a Prometheus scrape the server, and read that by `prometheus`", "line 1")


def misplaced(item: Mapping[str, Any]) -> str | None:
    """Say what a row is and who reads it; None where nothing is known of it."""
    return next((said for fields, said in KINDS if fields <= item.keys()), None)
