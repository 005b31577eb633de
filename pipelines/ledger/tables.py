"""The ledger's tables, and pins: versions that somebody still stands on and no clean-up may remove."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from models.attribution import COLUMNS
from models.facts import CHARGES, FACTS, INSTANT, KEY_COLUMNS, Fact, Schema, schema
from models.money import MONEY
from pipelines.ledger.delta import Table
from pipelines.ledger.engine import Engine, OneMachine

if TYPE_CHECKING:
    from pipelines.settings import Settings

# What the vendor's own rules say of its amounts: `connectors.source.Identity`.
IDENTITY: Final = {
    "name": pl.String(),
    "subject": pl.String(),
    "left": MONEY,
    "right": MONEY,
    "tolerance": MONEY,
    "lines": pl.Int64(),
    "holds": pl.Boolean(),
    "skipped": pl.String(),
    "note": pl.String(),
    "starts": pl.Date(),
    "ends": pl.Date(),
}

# One row per load and fact; the money columns are of charges.
LOADS: Final[Schema] = {
    "fact": pl.String,
    "load_id": pl.String,
    "fingerprint": pl.String,
    "lines_read": pl.Int64,
    "lines_loaded": pl.Int64,
    "split_lines": pl.Int64,
    "billing_currency": pl.String,
    "billed_cost_read": MONEY,
    "billed_cost_loaded": MONEY,
    "quantization_residual": MONEY,
    "unknown_lines": pl.Int64,
    "unknown_kinds": pl.String,
    "identities": pl.List(pl.Struct(IDENTITY)),
    "is_final": pl.Boolean,
    "loaded_at": INSTANT,
}

# Which version of each table a pin keeps; a table that did not exist yet has none.
_PINNED: Final = {"attributions": "attributions_version", **{fact.value: f"{fact.value}_version" for fact in Fact}}

PINS: Final[Schema] = {
    **dict.fromkeys(_PINNED.values(), pl.Int64),
    "pinned_at": INSTANT,
    "pinned_by": pl.String,
    "reason": pl.String,
    "is_reopening": pl.Boolean,  # null in pins from before months could be reopened
}

# `tags` is JSON of the tags and cost categories the key has, `relevant` of the names of all that were looked for:
# enough to tag a key again without reading its lines.
ATTRIBUTIONS: Final[Schema] = {
    "key_id": pl.String,
    **{name: CHARGES[name].dtype for name in KEY_COLUMNS},
    "tags": pl.String,
    "relevant": pl.String,
    **COLUMNS,
}


def engine_of(settings: Settings) -> Engine:
    """Make what passes over every line; nothing is begun before the first pass."""
    if settings.engine == "polars":
        return OneMachine()
    from pipelines.ledger.spark import Spark

    return Spark(settings.spark)


_CURRENT: Final = ["fact", "source", "billing_period", "load_id"]


@dataclass(frozen=True)
class Ledger:
    """Every table of the ledger under one root."""

    root: str
    options: Mapping[str, str] = field(default_factory=dict)
    engine: Engine = field(default_factory=OneMachine)

    @classmethod
    def of(cls, settings: Settings) -> Ledger:
        """Open the ledger a configuration names."""
        return cls(settings.ledger_root, settings.ledger_options, engine_of(settings))

    def fact(self, fact: Fact) -> Table:
        """Give the table of a fact; only bills are long enough to be worth more than one machine."""
        engine = self.engine if fact is Fact.CHARGES else OneMachine()
        return Table(self.root, fact.value, schema(FACTS[fact]), self.options, engine)

    @property
    def charges(self) -> Table:
        """Bill lines."""
        return self.fact(Fact.CHARGES)

    @property
    def loads(self) -> Table:
        """What each load read and kept; only loads whose id is current in `charges` count."""
        return Table(self.root, "loads", LOADS, self.options)

    @property
    def attributions(self) -> Table:
        """What we think each distinct key of a bill is for."""
        return Table(self.root, "attributions", ATTRIBUTIONS, self.options)

    def current_attributions(self, source: str, period: date) -> tuple[str, pl.DataFrame]:
        """Give a month's attributions and their load id; an empty id where it has none yet."""
        partition = self.attributions.partitions().get((source, period))
        if partition is None:
            return "", pl.DataFrame(schema=ATTRIBUTIONS)
        return partition.load_id, self.attributions.scan(partition.files).select(*ATTRIBUTIONS).collect()

    def current_loads(self) -> pl.DataFrame:
        """Give the loads that are current, one row per fact, source and billing period."""
        files = self.loads.files()
        if not files:
            return pl.DataFrame(schema={"source": pl.String, "billing_period": pl.Date, **LOADS})
        # Records from before there was usage in the ledger do not say of what.
        loads = self.loads.scan(files).with_columns(pl.col("fact").fill_null(Fact.CHARGES.value)).collect()
        current = [
            {"fact": fact, "source": source, "billing_period": period, "load_id": partition.load_id}
            for fact in loads["fact"].unique()
            for (source, period), partition in self.fact(Fact(fact)).partitions().items()
        ]
        keys = pl.DataFrame(current, schema={name: loads.schema[name] for name in _CURRENT})
        found = loads.join(keys, on=_CURRENT, how="semi").sort(_CURRENT)
        if found.height != keys.height:
            raise RuntimeError(f"{self.root}: a current load has no record; the ledger was changed by other hands")
        return found

    def loaded_versions(self, source: str) -> dict[date, str]:
        """Give the fingerprint of each month of a source that is loaded whole, every fact of it."""
        months = self.current_loads().filter(source=source).group_by("billing_period").agg("load_id", "fingerprint")
        whole = months.filter(pl.col("load_id").list.n_unique() == 1)
        return {period: prints[0] for period, prints in whole.select("billing_period", "fingerprint").iter_rows()}

    def pin(self, source: str, period: date, *, by: str, reason: str) -> None:
        """Pin a month as it is now: its lines and their attributions stay readable whatever is loaded later."""
        self._append_pin(source, period, by, reason, is_reopening=False)

    def reopen(self, source: str, period: date, *, by: str, reason: str) -> None:
        """Take a month's pin out of force; what it stood on stays readable, because it was reported."""
        self._append_pin(source, period, by, reason, is_reopening=True)

    def _append_pin(self, source: str, period: date, by: str, reason: str, *, is_reopening: bool) -> None:
        # Which act is the latest decides what is closed, so a clock that was set back may not reorder them.
        last = self.acts()["pinned_at"].max()
        now = datetime.now(UTC)
        pin = {
            **{_PINNED[table.name]: table.open().version() for table in [*self.facts(), self.attributions]},
            "pinned_at": now if last is None else max(now, cast("datetime", last) + timedelta(microseconds=1)),
            "pinned_by": by,
            "reason": reason,
            "is_reopening": is_reopening,
        }
        adds = self._pins.write(source, period, new_load_id(), [pl.LazyFrame([pin], schema=PINS)])
        act = {"act": "reopen" if is_reopening else "pin", "source": source, "period": str(period)}
        self._pins.commit(adds, mode="append", facts={**act, "by": by, "reason": reason})

    def pins(self) -> pl.DataFrame:
        """Give the pins in force, the latest of each month: source, billing period, versions, who, when and why."""
        latest = self.acts().unique(["source", "billing_period"], keep="last", maintain_order=True)
        return latest.filter(~pl.col("is_reopening"))

    def acts(self) -> pl.DataFrame:
        """Give every pin and every reopening, oldest first."""
        files = self._pins.files()
        if not files:
            return pl.DataFrame(schema={"source": pl.String, "billing_period": pl.Date, **PINS})
        acts = self._pins.scan(files).sort("pinned_at").collect()
        return acts.with_columns(pl.col("is_reopening").fill_null(value=False))

    @property
    def _pins(self) -> Table:
        return Table(self.root, "pins", PINS, self.options)

    def facts(self) -> list[Table]:
        """Give the tables of all facts that any source ever brought, and of bills."""
        usage = [self.fact(fact) for fact in Fact if fact is not Fact.CHARGES]
        return [self.charges, *(table for table in usage if table.exists())]

    def vacuum(self, *, keep_last: int) -> list[str]:
        """Remove files that neither the last versions nor a pin stand on, files of crashed loads included.

        Give what was removed. Call it with the lock held: the files of a load that has not committed yet count as
        crashed.
        """
        pins = self.acts()  # of reopened months too: people have read their reports
        removed = []
        for table in [*self.facts(), self.attributions]:
            delta = table.open()
            newest = range(max(0, delta.version() - keep_last + 1), delta.version() + 1)
            removed += delta.vacuum(
                retention_hours=0,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted({*newest, *pins[_PINNED[table.name]].drop_nulls().to_list()}),
            )
        return removed


def new_load_id() -> str:
    """Name a load: when it began, and enough chance that two never share a name."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}{secrets.token_hex(4)}"
