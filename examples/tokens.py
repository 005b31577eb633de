"""What Meridian AI's own systems wrote about tokens, and the truth of their cost: `tokens/` and `truth/tokens.csv`.

Bedrock's invocation logs are of two accounts and one application, request by request, and hold exactly the tokens that
the AWS bill counts there; the rest of Bedrock was never logged. One endpoint's server counts what it answered by hour.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from examples import tokens_gateway
from examples.company import ACCOUNTS, next_month
from examples.cur2 import EXPORT
from examples.meters import random_for
from examples.tokens_truth import COLUMNS, Truth

KINDS: Final = ("input", "output", "cache-read", "cache-write")
_FIELDS: Final = ("inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_PER_UNIT: Final = {"1K tokens": 1_000, "1M tokens": 1_000_000, "Units": 1_000_000}


@dataclass(frozen=True, kw_only=True)
class Logged:
    """One application's calls to one model that were logged: `pattern` finds their lines on the bill."""

    pattern: str
    account: str
    llm_model_id: str
    llm_model: str
    team: str
    features: Mapping[str, float]
    """Feature → its share of the requests."""
    requests_a_day: int


LOGGED: Final = (
    Logged(pattern=r"claude-opus-4-8-mantle", account="inference-prod", team="assistant", requests_a_day=150,
           llm_model_id="global.anthropic.claude-opus-4-8", llm_model="claude-opus-4.8",
           features={"deep-research": 0.7, "contract-review": 0.3}),
    Logged(pattern=r"MP:USE1_", account="inference-staging", team="search", requests_a_day=60,
           llm_model_id="us.anthropic.claude-haiku-4-5-20251001-v1:0", llm_model="claude-haiku-4.5",
           features={"query-rewrite": 1.0}),
    Logged(pattern=r"NovaMicro-", account="inference-staging", team="assistant", requests_a_day=20,
           llm_model_id="amazon.nova-micro-v1:0", llm_model="nova-micro", features={"smoke-test": 1.0}),
)  # fmt: skip

FLEET: Final = "assistant-chat-70b"
_MILLIONS_AN_HOUR: Final = {"uncached_input_tokens": 14.0, "cache_read_tokens": 9.0, "output_tokens": 4.0}


def write(folder: Path, *, seed: int, months: Sequence[date]) -> None:
    """Write logs, bills of APIs and truth beside the AWS bill that `folder/bills` holds already."""
    truth = Truth()
    for month in months:
        _bedrock_logs(folder, month, seed, truth)
        _serving(folder, month, seed, truth)
        tokens_gateway.write(folder, month, seed, truth)
    path = folder / "truth" / "tokens.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(truth.rows())


def _bedrock_logs(folder: Path, month: date, seed: int, truth: Truth) -> None:
    bill = _bill(folder, month)
    path = folder / "tokens" / "bedrock" / f"AWSLogs/{month:%Y/%m}/invocations.json.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=3) as file:
        for logged in LOGGED:
            for record in _requests(bill, logged, seed, truth):
                file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")


def _bill(folder: Path, month: date) -> pl.DataFrame:
    """Read the lines of the month's current delivery that count tokens."""
    root = folder / "bills" / EXPORT / "data" / f"BILLING_PERIOD={month:%Y-%m}"
    newest = max(root.iterdir())
    usage = pl.col("line_item_usage_type")
    return (
        pl.scan_parquet(newest / "*.parquet")
        .filter(pl.col("pricing_unit").is_in(list(_PER_UNIT)), usage.str.contains("(?i)token"))
        .select(
            "line_item_usage_account_id",
            usage.alias("meter"),
            pl.col("line_item_usage_start_date").dt.date().alias("day"),
            (pl.col("line_item_usage_amount") * pl.col("pricing_unit").replace_strict(_PER_UNIT, return_dtype=pl.Int64))
            .round()
            .cast(pl.Int64)
            .alias("tokens"),
            pl.col("line_item_net_unblended_cost").alias("cost"),
        )
        .collect()
    )


def _kind(meter: str) -> str:
    """Tell the four meters of a model apart, in whichever style they are named."""
    words = meter.lower().replace("cachereadinput", "cache-read").replace("cachewriteinput", "cache-write")
    return next(
        (kind for kind in ("cache-read", "cache-write") if kind in words), "output" if "output" in words else "input"
    )


def _requests(bill: pl.DataFrame, logged: Logged, seed: int, truth: Truth) -> Iterator[dict[str, Any]]:
    lines = bill.filter(
        pl.col("line_item_usage_account_id") == ACCOUNTS[logged.account].id,
        pl.col("meter").str.contains(logged.pattern),
    )
    by_day: dict[date, dict[str, tuple[int, float]]] = {}
    for meter, day, tokens, cost in lines.select("meter", "day", "tokens", "cost").iter_rows():
        kinds = by_day.setdefault(day, {})
        before = kinds.get(_kind(meter), (0, 0.0))
        kinds[_kind(meter)] = before[0] + tokens, before[1] + cost
    for day, kinds in sorted(by_day.items()):
        random = random_for(seed, "requests", logged.llm_model, logged.account, day)
        features = random.choices(list(logged.features), list(logged.features.values()), k=logged.requests_a_day)
        sizes = [random.uniform(0.5, 1.5) for _ in features]
        counts = {kind: _spread(tokens, sizes) for kind, (tokens, _) in kinds.items()}
        for number, feature in enumerate(features):
            used: dict[str, int] = {kind: counts[kind][number] for kind in KINDS if kind in counts}
            # All requests of a day pay the same per token, so a request's cost is its share of each line.
            costs = (kinds[kind][1] * tokens / kinds[kind][0] for kind, tokens in used.items() if kinds[kind][0])
            truth.add(
                day, "AWS", logged.llm_model, "managed", "billed", logged.team, feature,
                requests=1, cost=sum(costs), tokens=used,
            )  # fmt: skip
            at = datetime(day.year, day.month, day.day) + timedelta(seconds=number * 86_399 // len(features))  # noqa: DTZ001
            yield {
                "schemaType": "ModelInvocationLog",
                "schemaVersion": "1.0",
                "timestamp": f"{at.isoformat()}Z",
                "accountId": ACCOUNTS[logged.account].id,
                "region": "us-east-1",
                "requestId": f"{random.getrandbits(64):016x}-{number:05d}",
                "operation": "Converse",
                "modelId": logged.llm_model_id,
                "input": {_FIELDS[KINDS.index(kind)]: tokens for kind, tokens in used.items() if kind != "output"},
                "output": {"outputTokenCount": used.get("output", 0)},
                "requestMetadata": {"team": logged.team, "feature": feature},
            }


def _spread(total: int, sizes: Sequence[float]) -> list[int]:
    """Divide whole tokens in proportion; they sum to the total."""
    whole, given, parts, so_far = sum(sizes), 0, [], 0.0
    for size in sizes:
        so_far += size
        until = round(total * so_far / whole)
        parts.append(until - given)
        given = until
    return parts


def _serving(folder: Path, month: date, seed: int, truth: Truth) -> None:
    """Count what the server of one endpoint answered, by hour; its machines are on the AWS bill."""
    path = folder / "tokens" / "serving" / f"{month:%Y-%m}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["hour", "model", "endpoint", "requests", *_MILLIONS_AN_HOUR])
        hour = datetime(month.year, month.month, 1)  # noqa: DTZ001 - UTC
        while hour.date() < next_month(month):
            random = random_for(seed, "serving", hour)
            busy = random.uniform(0.7, 1.3) * (1.4 if 7 <= hour.hour < 22 else 0.4)  # noqa: PLR2004 - people's day
            counts = [round(millions * busy * 1e6) for millions in _MILLIONS_AN_HOUR.values()]
            requests = counts[0] // 1_900
            writer.writerow([f"{hour.isoformat()}Z", "meridian-chat-70b", FLEET, requests, *counts])
            used = dict(zip(("input", "cache-read", "output"), counts, strict=True))
            truth.add(
                hour.date(), "AWS", "llama-3.3-70b", "self_hosted", "billed", None, None,
                requests=requests, cost=0.0, tokens=used,
            )  # fmt: skip
            hour += timedelta(hours=1)
