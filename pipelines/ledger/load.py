"""Load one version of one bill: fetch, read, write, reconcile, commit. A load that loses a cent changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from deltalake.transaction import AddAction

from connectors.source import Source, SourceVersion, Totals
from models.errors import BadInput, Refused
from models.facts import COST_COLUMNS, Fact
from models.money import ARITHMETIC, quantize_decimal
from pipelines.ledger.delta import Table, UnreadableError
from pipelines.ledger.tables import LOADS, Ledger, new_load_id


@dataclass(frozen=True)
class Loaded:
    """What a load did, for progress and metadata."""

    source: str
    billing_period: date
    load_id: str
    lines: int
    billed_cost: Decimal
    is_final: bool


def load(ledger: Ledger, source: Source, version: SourceVersion) -> Loaded:
    """Replace one month of one source with a version of its bill.

    Raises:
        BadInput: the files cannot be read; names file, row and column.
        Refused: the ledger would not hold what the files say.
    """
    landed = source.fetch(version)
    load_id = new_load_id()
    period = version.billing_period
    # Nothing written counts before the commit, so the files are summed while they are written: neither alone keeps
    # all cores busy. What is wrong with a cell `totals` knows best, so it is asked first.
    with ThreadPoolExecutor(1) as pool:
        summed = pool.submit(source.totals, landed)
        try:
            adds = ledger.charges.write(source.name, period, load_id, source.read(landed)[Fact.CHARGES])
        except UnreadableError as error:
            summed.result()
            found = f"the file is damaged ({str(error.__cause__).splitlines()[0]})"
            raise BadInput(version.files[error.number].name, found, "Fetch or export the file again") from error
        except BadInput:
            summed.result()
            raise
        totals = summed.result()
    kept = _kept(ledger.charges, adds)
    reconcile(source.name, period, totals, kept)
    is_final = totals.is_final if version.is_final is None else version.is_final
    billed = kept["billed_cost"]
    residual = ARITHMETIC.subtract(totals.exact["billed_cost"], totals.quantized["billed_cost"])
    record = pl.LazyFrame(
        {
            "load_id": [load_id],
            "fingerprint": [version.fingerprint],
            "lines_read": [totals.lines],
            "lines_loaded": [kept["lines"]],
            "split_lines": [totals.split_lines],
            "billing_currency": [kept["currency"]],
            "billed_cost_read": [totals.quantized["billed_cost"]],
            "billed_cost_loaded": [billed],
            "quantization_residual": [quantize_decimal(residual)],
            "is_final": [is_final],
            "loaded_at": [datetime.now(UTC)],
        },
        schema=LOADS,
    )
    # The record goes first: it counts only once its load id is current in `charges`, so a kill between the two is safe.
    facts = {"load_id": load_id, "fingerprint": version.fingerprint, "source": source.name, "period": str(period)}
    ledger.loads.commit(ledger.loads.write(source.name, period, load_id, [record]), mode="append", facts=facts)
    ledger.charges.commit(adds, mode="overwrite", partition=(source.name, period), facts=facts)
    return Loaded(source.name, period, load_id, kept["lines"], billed, is_final)


def _kept(charges: Table, adds: list[AddAction]) -> dict[str, Any]:
    """Sum what was written, read back from the files themselves."""
    own = pl.col("split_parent_resource_id").is_null()
    return (
        charges.scan([add.path for add in adds])
        .select(
            lines=own.sum(),
            split_lines=(~own).sum(),
            currency=pl.when(pl.col("billing_currency").n_unique() == 1)
            .then(pl.col("billing_currency").first())
            .otherwise(pl.lit("mixed")),
            **{column: pl.col(column).filter(own).sum() for column in COST_COLUMNS},
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )


def reconcile(source: str, period: date, totals: Totals, kept: dict[str, Any]) -> None:
    """Refuse a load unless Σ read = Σ written in lines and in each native cost column, to the last digit."""
    read = {"lines": totals.lines, "split_lines": totals.split_lines, **totals.quantized}
    differing = [f"{name}: read {read[name]}, written {kept[name]}" for name in read if read[name] != kept[name]]
    if differing:
        raise Refused(
            f"{source} {period:%Y-%m}: the ledger would not hold what the bill says ({'; '.join(differing)}). "
            "Nothing was changed. Please report this with the file's column names."
        )
