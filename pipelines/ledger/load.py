"""Load one version of one source: fetch, read, write, reconcile, commit. A load that loses a cent changes nothing."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl
from deltalake.transaction import AddAction

from connectors import csv_blocks
from connectors.source import Source, SourceVersion, Totals
from models.errors import BadInput, Refused
from models.facts import COST_COLUMNS, Fact
from models.money import ARITHMETIC, quantize_decimal
from pipelines.ledger.engine import OneMachine, OnFile, UnreadableError
from pipelines.ledger.tables import LOADS, Ledger, new_load_id


@dataclass(frozen=True)
class Loaded:
    """What a load did, for progress and metadata; `rows` per fact."""

    source: str
    billing_period: date
    load_id: str
    rows: Mapping[Fact, int]
    billed_cost: Decimal
    billing_currency: str | None
    is_final: bool
    remarks: Sequence[str] = ()

    @property
    def lines(self) -> int:
        """Rows of all facts."""
        return sum(self.rows.values())


def load(
    ledger: Ledger, source: Source, version: SourceVersion, on_file: OnFile = lambda _number, _rows: None
) -> Loaded:
    """Replace one month of one source with a version of what it says, telling `on_file` of each file that was written.

    Raises:
        BadInput: the files cannot be read; names file, row and column.
        Refused: the ledger would not hold what the files say.
    """
    landed = source.fetch(version)
    load_id = new_load_id()
    period = version.billing_period
    # Executors parse what they stream themselves.
    streamed_here = landed.paths if isinstance(ledger.engine, OneMachine) else ()
    # Nothing written counts before the commit, so the files are summed while they are written: neither alone keeps
    # all cores busy. What is wrong with a cell `totals` knows best, so it is asked first.
    with ThreadPoolExecutor(1) as pool:
        try:
            with csv_blocks.parsed_once(streamed_here) as together:
                summed = pool.submit(contextvars.copy_context().run, source.totals, landed)
                summed.add_done_callback(lambda _: together.stop_summing())
                adds = {
                    fact: ledger.fact(fact).write(source.name, period, load_id, frames, on_file)
                    for fact, frames in source.read(landed).items()
                }
        except UnreadableError as error:
            summed.result()
            raise _damaged(version.files[error.number].name, error.__cause__) from error
        except pl.exceptions.PolarsError as error:
            # Which columns a file has is asked for before any is streamed.
            summed.result()
            raise _damaged(", ".join(file.name for file in version.files), error) from error
        except BadInput:
            summed.result()
            raise
        totals = summed.result()
    kept = {fact: _kept(ledger, fact, added, totals) for fact, added in adds.items()}
    for fact, sums in kept.items():
        reconcile(f"{source.name} {period:%Y-%m}", _read(totals, fact), sums)
    is_final = totals.is_final if version.is_final is None else version.is_final
    records = [
        {
            **_record(fact, totals, sums),
            "fact": fact.value,
            "load_id": load_id,
            "fingerprint": version.fingerprint,
            "is_final": is_final,
            "loaded_at": datetime.now(UTC),
        }
        for fact, sums in kept.items()
    ]
    # The record goes first: a fact of it counts only once its load id is current in the fact's own table, and a version
    # is loaded only once all of them are. So a kill between any two of these commits is safe.
    said = {"load_id": load_id, "fingerprint": version.fingerprint, "source": source.name, "period": str(period)}
    record = pl.LazyFrame(records, schema=LOADS)
    ledger.loads.commit(ledger.loads.write(source.name, period, load_id, [record]), mode="append", facts=said)
    for fact, added in adds.items():
        ledger.fact(fact).commit(added, mode="overwrite", partition=(source.name, period), facts=said)
    charges = kept.get(Fact.CHARGES, {"billed_cost": Decimal(0), "currency": None})
    rows = {fact: sums["lines"] for fact, sums in kept.items()}
    billed, currency = charges["billed_cost"], charges["currency"]
    return Loaded(source.name, period, load_id, rows, billed, currency, is_final, remarks(totals))


def _damaged(files: str, error: BaseException | None) -> BadInput:
    found = f"the file is damaged or is no bill ({str(error).strip().splitlines()[0]})"
    return BadInput(files, found, "Fetch or export the file again")


def remarks(totals: Totals) -> list[str]:
    """Say what is odd about a bill that was loaded all the same."""
    said = [f"{lines:,} lines of the unknown kind {kind!r} were kept" for kind, lines in totals.unknown_kinds.items()]
    for one in totals.identities:
        if one.holds is False:
            about = f" of {one.subject}" if one.subject else ""
            sides = f"{one.left:f} and {one.right:f}" + (f", {one.note}" if one.note else "")
            said.append(f"the bill contradicts itself in {one.name}{about}: {sides} (marts.load_identities)")
    return said


def _read(totals: Totals, fact: Fact) -> dict[str, Any]:
    """Give what the native files say of a fact."""
    if fact is Fact.CHARGES:
        return {"lines": totals.lines, "split_lines": totals.split_lines, **totals.quantized}
    usage = dict(totals.usage[fact])
    return {"lines": usage.pop("rows"), **usage}


def _kept(ledger: Ledger, fact: Fact, adds: list[AddAction], totals: Totals) -> dict[str, Any]:
    """Sum what was written, read back from the files themselves."""
    table, files = ledger.fact(fact), [add.path for add in adds]
    if fact is not Fact.CHARGES:
        sums = {name: pl.col(name).sum() for name in _read(totals, fact) if name != "lines"}
        counted = table.summed(files, lambda rows: rows.select(pl.len().cast(pl.Int64).alias("lines"), **sums), [])
        return counted.row(0, named=True)
    found = table.summed(files, _sums, _GROUPS)
    currencies = found["billing_currency"].unique().to_list()
    own, split = found.filter("is_own"), found.filter(~pl.col("is_own"))
    sums = own.select("lines", *COST_COLUMNS).sum().row(0, named=True)
    currency = "mixed" if len(currencies) > 1 else next(iter(currencies), None)
    return {**sums, "split_lines": int(split["lines"].sum()), "currency": currency}


_GROUPS: Final = ("billing_currency", "is_own")


def _sums(lines: pl.LazyFrame) -> pl.LazyFrame:
    return lines.group_by("billing_currency", is_own=pl.col("split_parent_resource_id").is_null()).agg(
        lines=pl.col("line_count").fill_null(1).sum(), **{column: pl.col(column).sum() for column in COST_COLUMNS}
    )


def _record(fact: Fact, totals: Totals, kept: dict[str, Any]) -> dict[str, Any]:
    read = _read(totals, fact)
    if fact is not Fact.CHARGES:
        return {"lines_read": read["lines"], "lines_loaded": kept["lines"]}
    residual = ARITHMETIC.subtract(totals.exact["billed_cost"], totals.quantized["billed_cost"])
    return {
        "lines_read": totals.lines,
        "lines_loaded": kept["lines"],
        "split_lines": totals.split_lines,
        "billing_currency": kept["currency"],
        "billed_cost_read": totals.quantized["billed_cost"],
        "billed_cost_loaded": kept["billed_cost"],
        "quantization_residual": quantize_decimal(residual),
        "unknown_lines": sum(totals.unknown_kinds.values()),
        "unknown_kinds": ", ".join(totals.unknown_kinds) or None,
        "identities": [asdict(one) for one in totals.identities],
    }


def reconcile(what: str, read: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Refuse a load unless Σ read = Σ written in lines and in each native column that adds up, to the last digit."""
    differing = [f"{name}: read {read[name]}, written {kept[name]}" for name in read if read[name] != kept[name]]
    if differing:
        raise Refused(
            f"{what}: the ledger would not hold what the source says ({'; '.join(differing)}). "
            "Nothing was changed. Please report this with the file's column names."
        )
