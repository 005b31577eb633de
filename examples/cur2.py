"""The export's own form: the columns of AWS Data Exports (CUR 2.0), its folders and its manifests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from examples.bill import ENTERPRISE, TRUTH
from examples.columns import COLUMNS, DOUBLES, NET, SPLIT, STRINGS
from examples.company import ACCOUNTS, PAYER, next_month
from examples.meters import random_for

EXPORT: Final = "meridian-cur"
_LOCATION: Final = "s3://meridian-billing/exports"
"""Where the bills would lie; a sample's `bills` folder stands for it."""
_LINES_PER_FILE: Final = 1_000_000

_ODD: Final = 0x9E3779B97F4A7C15
"""An odd factor scatters consecutive numbers over 64 bits without ever joining two."""


class Delivery(NamedTuple):
    """One execution of the export for one month; a restated month has two, and the manifest names the last."""

    month: date
    seed: int
    number: int
    is_final: bool

    @property
    def execution_id(self) -> str:
        """Invent a UUID."""
        return str(uuid.UUID(int=random_for(self.seed, self.month, self.number).getrandbits(128), version=4))

    @property
    def delivered_at(self) -> str:
        """Print when it came: the morning after the month for an open bill, a week later for a final one."""
        day = next_month(self.month) + timedelta(days=7 if self.is_final else 0)
        return f"{day}T04:12:0{self.number}.113Z"


def form(lines: pl.DataFrame, delivery: Delivery, first: int) -> pl.DataFrame:
    """Complete lines into the export's columns, plus the truth of each; they are numbered from `first`."""
    blanks = [
        *(pl.lit("").alias(name) for name in STRINGS if name not in lines.columns),
        *(pl.lit(0.0).alias(name) for name in DOUBLES if name not in lines.columns),
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in SPLIT if name not in lines.columns),
    ]
    unblended = pl.col("line_item_unblended_cost")
    entry = pl.concat_list(pl.struct(key=pl.lit("edp_discount"), value=ENTERPRISE))
    discount = pl.when(pl.col("discount_rate") > 0).then(entry).otherwise(entry.list.head(0))
    return (
        lines.with_columns(blanks)
        .with_columns(pl.col(STRINGS).fill_null(""), pl.col(DOUBLES).fill_null(0.0))
        .with_columns(
            line_item_blended_cost=unblended,
            discount=discount.cast(pl.Map(pl.String, pl.Float64)),
            discount_total_discount=ENTERPRISE + pl.col("discount_bundled_discount"),
            line_item_net_unblended_cost=unblended + ENTERPRISE + pl.col("discount_bundled_discount"),
            **{net: pl.col(gross) * (1 - pl.col("discount_rate")) for net, gross in NET.items()},
            **_bill(delivery),
            identity_line_item_id=_line_ids(delivery, first),
        )
        # A discount is inside the net columns of the usage that it discounts: its own line nets to nothing.
        .with_columns(
            pl.when(pl.col("line_item_line_item_type").is_in(["BundledDiscount", "EdpDiscount"]))
            .then(0.0)
            .otherwise(pl.col("line_item_net_unblended_cost"))
            .alias("line_item_net_unblended_cost")
        )
        .select(*COLUMNS, *TRUTH)
    )


def deliver(bills: Path, truth: Path, delivery: Delivery, frames: Iterable[pl.DataFrame]) -> None:
    """Write one delivery: its data files, then the manifest that makes them current, then the truth of its lines."""
    period = f"BILLING_PERIOD={delivery.month:%Y-%m}"
    root = bills / EXPORT
    folder = root / "data" / period / f"{delivery.delivered_at}-{delivery.execution_id}"
    folder.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    names = _write(folder, truth / f"{delivery.month:%Y-%m}.parquet", frames)
    manifest = root / "metadata" / period / f"{EXPORT}-Manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "executionId": delivery.execution_id,
        "exportArn": f"arn:aws:bcm-data-exports:us-east-1:{ACCOUNTS[PAYER].id}:export/{EXPORT}-3d1f8a52",
        "columns": [{"name": name, "type": kind} for name, kind in COLUMNS.items()],
        "dataFiles": [f"{_LOCATION}/{(folder / name).relative_to(bills).as_posix()}" for name in names],
        "additionalOutputFiles": [],
    }
    manifest.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def _write(folder: Path, truth: Path, frames: Iterable[pl.DataFrame]) -> list[str]:
    """Write frame by frame, a row group each, so that memory stays flat; start another file before one grows long."""
    names: list[str] = []
    bill: pq.ParquetWriter | None = None
    answers: pq.ParquetWriter | None = None
    room = 0
    for frame in frames:
        table = frame.select(*COLUMNS).to_arrow()
        answer = frame.select("identity_line_item_id", *TRUTH).to_arrow()
        if bill is None or room < frame.height:
            if bill is not None:
                bill.close()
            names.append(f"{EXPORT}-{len(names) + 1:05d}.snappy.parquet")
            bill, room = _writer(folder / names[-1], table.schema), _LINES_PER_FILE
        answers = answers or _writer(truth, answer.schema)
        bill.write_table(table)
        answers.write_table(answer)
        room -= frame.height
    for writer in (bill, answers):
        if writer is not None:
            writer.close()
    return names


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="snappy", store_schema=False)


def numbered(frames: Iterable[pl.DataFrame], delivery: Delivery) -> Iterator[pl.DataFrame]:
    """Form frame after frame, so that no two lines of the delivery share an id."""
    first = 0
    for frame in frames:
        yield form(frame, delivery, first)
        first += frame.height


def _bill(delivery: Delivery) -> dict[str, pl.Expr]:
    start, end = (datetime(day.year, day.month, 1) for day in (delivery.month, next_month(delivery.month)))  # noqa: DTZ001
    invoice = random_for(delivery.seed, "invoice", delivery.month).randrange(10**9, 2 * 10**9)
    marketplace = pl.col("bill_billing_entity") == "AWS Marketplace"
    moment = pl.Datetime("ms")
    return {
        "bill_billing_period_start_date": pl.lit(start, dtype=moment),
        "bill_billing_period_end_date": pl.lit(end, dtype=moment),
        "bill_invoice_id": (
            pl.when(marketplace).then(pl.lit(str(invoice + 1))).otherwise(pl.lit(str(invoice)))
            if delivery.is_final
            else pl.lit("")
        ),
        "bill_payer_account_id": pl.lit(ACCOUNTS[PAYER].id),
        "bill_payer_account_name": pl.lit(PAYER),
        "line_item_currency_code": pl.lit("USD"),
        "pricing_currency": pl.lit("USD"),
    }


def _line_ids(delivery: Delivery, first: int) -> pl.Expr:
    """Name each line anew in every delivery, as AWS does: an id says nothing about the line it had last time."""
    salt = random_for(delivery.seed, "lines", delivery.month, delivery.number)
    letters = "".join(salt.choices("abcdefghijklmnopqrstuvwxyz234567", k=32))
    number = (pl.int_range(pl.len(), dtype=pl.UInt64) + first) * pl.lit(_ODD, dtype=pl.UInt64)
    return pl.concat_str(pl.lit(letters), number.cast(pl.String).str.zfill(20))
