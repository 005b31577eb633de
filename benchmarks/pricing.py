"""Measure what it costs to price requests by token, as a ratio to calling the price library once per request.

    .venv/bin/python benchmarks/pricing.py                 # 10M requests, about two minutes on two cores
    .venv/bin/python benchmarks/pricing.py --rows 1000000  # only these; PRICING.md is left alone

Both price the same requests in the same run: the loop a sample of them, its time scaled to all. On that sample every
request must cost the same to the last digit. The requests lie in Parquet as in the ledger; imports, and reading the
library's price list, are outside both clocks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from genai_prices import Usage, calc_price

from benchmarks.load import machine
from models.facts import TOKEN_USAGE
from models.llm_names import provider_id
from models.money import quantize_decimal
from models.rate_card import PriceKey, RateCard, contexts_of
from models.token_pricing import COSTS, price, to_money
from models.token_sizes import sized
from pipelines.warehouse.tokens import usage_daily

RESULTS: Final = Path(__file__).with_name("PRICING.md")
ROWS: Final = 10_000_000
SAMPLE: Final = 20_000
CHUNK: Final = 1_000_000
BARS: Final = {"seconds": 15.0, "peak, GB": 4.0, "times the loop": 50.0}
MONTH: Final = datetime(2026, 7, 1, tzinfo=UTC)
MODELS: Final = (
    ("OpenAI", "gpt-4o-2024-08-06", "default"),
    ("OpenAI", "gpt-4.1-mini", "default"),
    ("OpenAI", "gpt-5.4", "default"),
    ("Anthropic", "claude-haiku-4-5-20251001", "standard"),
    ("Anthropic", "claude-sonnet-4-5-20250929", "standard"),
    ("AWS", "us.anthropic.claude-haiku-4-5-20251001-v1:0", None),
    ("Google Cloud", "gemini-2.5-pro", None),
    ("DeepSeek", "deepseek-v4-flash", None),
)


def main() -> int:
    """Run from the command line; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, help="requests (default: 10M)")
    parser.add_argument("--repeats", type=int, default=3, help="the least of so many runs counts")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "apportion-bench")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(vectorised(chosen.measure)))
        return 0
    before = os.getloadavg()[0]
    rows = chosen.rows or ROWS
    folder = write_requests(chosen.folder / f"requests-{rows}", rows)
    runs = [_process(folder) for _ in range(chosen.repeats)]
    best = min(runs, key=lambda run: run["seconds"])
    busy, peak = min(run["busy"] for run in runs), max(run["peak"] for run in runs)
    loop = per_call(folder)
    seconds, calls = loop["seconds"] / loop["calls"] * rows, loop["busy"] / loop["calls"] * rows
    found = {"seconds": best["seconds"], "peak, GB": peak / 1e9, "times the loop": calls / busy}
    missed = [name for name, bar in BARS.items() if (found[name] < bar) == (name == "times the loop")]
    report = "\n".join(
        [
            "# Results of `benchmarks/pricing.py`",
            "",
            f"{machine((before, os.getloadavg()[0]))} README.md says what is measured.",
            "",
            f"| {rows:,} requests | | bar |",
            "|---|---:|---:|",
            f"| priced and summed by day | **{best['seconds']:.1f} s** | ≤ 15 s |",
            f"| processor seconds of that | {busy:.1f} s |  |",
            f"| peak memory | **{peak / 1e9:.2f} GB** | ≤ 4 GB |",
            f"| daily rows | {best['daily_rows']:,} |  |",
            f"| distinct prices resolved | {best['prices']:,} |  |",
            f"| one call of the library, mean of {loop['calls']:,} | {loop['busy'] / loop['calls'] * 1e6:.0f} µs |  |",
            f"| the loop over all requests, scaled | {seconds:,.0f} s |  |",
            f"| **times the loop, in processor seconds** | **{calls / busy:.0f}** | ≥ 50 |",
            f"| times the loop, by the clock | {seconds / best['seconds']:.0f} |  |",
            f"| requests of the sample priced otherwise than by the library | {loop['different']} | 0 |",
            "",
            f"Missed: {', '.join(missed)}." if missed else "Every bar is met.",
            "",
        ]
    )
    print(report)
    if not chosen.rows:
        RESULTS.write_text(report, encoding="utf-8")
    return int(bool(missed) or loop["different"] > 0)


def vectorised(folder: Path) -> dict[str, Any]:
    """Price and sum all requests; what a process of its own reports."""
    card = RateCard()
    card.is_known("openai", "gpt-4o")
    start, busy = time.perf_counter(), time.process_time()
    daily, prices = usage_daily(pl.scan_parquet(folder / "*.parquet"), card)
    return {
        "seconds": time.perf_counter() - start,
        "busy": time.process_time() - busy,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "daily_rows": daily.height,
        "prices": prices.height,
    }


def per_call(folder: Path) -> dict[str, Any]:
    """Call the library once per request of a sample; count the requests that we price otherwise."""
    sample = pl.scan_parquet(min(folder.glob("*.parquet"))).head(SAMPLE).collect()
    card = RateCard()
    priced, _ = price(sized(sample.lazy(), card).collect(), card)
    ours = priced.select(to_money(sum((pl.col(name) for name in COSTS[1:]), pl.col(COSTS[0])))).to_series().to_list()
    rows = sample.with_columns(pl.sum_horizontal(_INPUT).alias("input")).rows(named=True)
    asked = [_context(row) for row in rows]
    calc_price(Usage(input_tokens=1), "gpt-4o", provider_id="openai")  # reads the price list
    start, busy = time.perf_counter(), time.process_time()
    theirs = [_call(row, *context) for row, context in zip(rows, asked, strict=True)]
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    different = sum(quantize_decimal(answer) != mine for answer, mine in zip(theirs, ours, strict=True))
    return {"calls": len(rows), "seconds": seconds, "busy": busy, "different": different}


_INPUT: Final = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens")


def _context(row: dict[str, Any]) -> tuple[str, dict[str, str]]:
    provider = provider_id(row["provider_name"])
    key = PriceKey(
        row["provider_name"],
        None,
        None,
        row["llm_model_id"],
        row["usage_start"].date(),
        service_tier=row["service_tier"],
    )
    return provider, contexts_of(key, provider)


def _call(row: dict[str, Any], provider: str, context: dict[str, str]) -> Any:
    usage = Usage(
        input_tokens=row["input"],
        cache_read_tokens=row["cache_read_tokens"],
        cache_write_tokens=row["cache_write_5m_tokens"],
        output_tokens=row["output_tokens"],
    )
    answer = calc_price(
        usage,
        row["llm_model_id"],
        provider_id=provider,
        genai_request_timestamp=row["usage_start"],
        price_context=context,
    )
    return answer.total_price


def write_requests(folder: Path, rows: int) -> Path:
    """Write requests of twenty projects and sixty keys; the same number of rows writes the same contents."""
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for start in range(0, rows, CHUNK):
        number = pl.int_range(start, min(rows, start + CHUNK), dtype=pl.UInt64, eager=True)
        _requests(number).write_parquet(partial / f"{start // CHUNK:05d}.parquet")
    partial.rename(folder)
    return folder


def _requests(number: pl.Series) -> pl.DataFrame:
    def drawn(seed: int, below: int) -> pl.Series:
        return (number.hash(seed) % below).cast(pl.Int64)

    which, key = drawn(1, len(MODELS)), drawn(2, 60)
    # One request in fifty is long enough to fall off a tier's cliff.
    long = (drawn(3, 50) == 0).cast(pl.Int64) * 250_000
    instant = pl.Series([MONTH]).cast(pl.Datetime("us", "UTC")).gather([0] * len(number))
    start = instant + drawn(4, 31 * 86_400_000_000).cast(pl.Duration("us"))
    providers, models, tiers = (pl.Series(values, dtype=pl.String) for values in zip(*MODELS, strict=True))
    return pl.DataFrame(
        {
            "source": pl.Series(["litellm"]).gather([0] * len(number)),
            "source_file": pl.Series(["spend.jsonl"]).gather([0] * len(number)),
            "source_row": number.cast(pl.Int64),
            "usage_start": start,
            "usage_end": start,
            "provider_name": providers.gather(which),
            "reported_by": pl.Series(["gateway"]).gather([0] * len(number)),
            "request_id": number.hash(5).cast(pl.String),
            "llm_model_id": models.gather(which),
            "requests": pl.Series([1], dtype=pl.Int64).gather([0] * len(number)),
            "uncached_input_tokens": drawn(6, 3_000) + long,
            "cache_read_tokens": drawn(7, 2) * drawn(8, 4_000),
            "cache_write_5m_tokens": (drawn(9, 4) == 0).cast(pl.Int64) * drawn(10, 2_000),
            "output_tokens": drawn(11, 800),
            "is_batch": pl.Series([False]).gather([0] * len(number)),
            "service_tier": tiers.gather(which),
            "project_id": "proj_" + (key // 3).cast(pl.String),
            "team": "team-" + (key // 3 % 7).cast(pl.String),
            "api_key_id": "key_" + key.cast(pl.String),
            "feature": "feature-" + (key % 3).cast(pl.String),
        }
    ).select("source", *(name for name in TOKEN_USAGE if name in _WRITTEN))


_WRITTEN: Final = frozenset(
    [
        "source_file",
        "source_row",
        "usage_start",
        "usage_end",
        "provider_name",
        "reported_by",
        "request_id",
        "llm_model_id",
        "requests",
        "uncached_input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "output_tokens",
        "is_batch",
        "service_tier",
        "project_id",
        "team",
        "api_key_id",
        "feature",
    ]
)


def _process(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    raise SystemExit(main())
