"""GPU utilization in files of any tool, by a mapping of columns: samples or averages, as rows per device and hour."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, Field

from connectors import checking, monthly_files, tabular
from connectors.checking import Check
from connectors.gpu_readings import DECIMALS, HOUR, TOLERANCE
from connectors.landing import jailed, seal
from connectors.mapped_columns import MappedColumns
from connectors.monthly_files import FileOptions, MonthlyFiles, of_known
from connectors.slurm import zone
from connectors.source import Landed, Totals
from models.errors import BadInput, BadSettings
from models.facts import GPU_UTILIZATION, Fact, declared

# What tells devices apart, and what is said of one.
IDENTITY: Final = ("resource_id", "resource_name", "sub_account_id", "region_id", "device", "cluster")
SAID: Final = ("accelerator", "namespace", "pod")
COUNTS: Final = ("device_share", "device_count")
FRACTIONS: Final = ("busy_fraction", "memory_fraction", "tensor_fraction")
KNOWN: Final = ("hour", *FRACTIONS, *IDENTITY, *SAID, *COUNTS, "measured_seconds", "invocations")
REQUIRED: Final = (("hour",), ("busy_fraction",), ("resource_id", "resource_name"))
FIX: Final = "Correct the file, or `columns` and `unit` in the configuration"
SKEW: Final = timedelta(minutes=5)


class GpuFileOptions(FileOptions):
    """Say which column is what, and in which unit."""

    columns: Annotated[dict[str, str], of_known(KNOWN)]
    """Column of `gpu_utilization` → column of the files; `hour` is the time of the sample or the start of the hour."""
    values: Annotated[dict[str, str], of_known(KNOWN)] = Field(default_factory=dict)
    """Column of `gpu_utilization` → what it is in every row, for example `cluster: prod`."""
    unit: Literal["percent", "fraction"]
    """Whether full use is written 100 or 1: files do not say, and guessing is wrong by a factor of a hundred."""
    sample_seconds: Annotated[int, Field(gt=0, le=3600)] | None = None
    """How long one row stands for, where no column `measured_seconds` says it."""
    resource_kind: Literal["instance", "node", "endpoint", "job", "tpu"] = "instance"
    """What the rows' resource is."""
    timezone: Annotated[str, AfterValidator(zone)] = "UTC"
    """Time zone of times that do not say theirs."""


class GenericGpu(MonthlyFiles):
    """Read GPU utilization from files."""

    Options: type[BaseModel] = GpuFileOptions

    _options: GpuFileOptions

    def check(self) -> None:
        """Check that what no sample can do without is mapped."""
        chosen = {**self._options.columns, **self._options.values}
        monthly_files.check_columns(chosen, KNOWN, REQUIRED)
        if self._options.sample_seconds is None and "measured_seconds" not in chosen:
            raise BadSettings(f"sources: {self.name}: say `sample_seconds`, or which column is `measured_seconds`")

    def months_in(self, path: Path, name: str) -> Collection[date]:
        """Read the months of a file's samples.

        Raises:
            BadInput: a time cannot be read, or lies in the future.
        """
        file, columns = self._open(path, name)
        latest = (self._now() + SKEW).replace(tzinfo=None)
        at = columns.instant("hour")
        checks = [
            Check(columns.header("hour"), at.is_null(), "is no time", FIX),
            Check(columns.header("hour"), at > pl.lit(latest).dt.replace_time_zone("UTC"), "lies in the future", FIX),
        ]
        checking.summed(file, name, [columns.header("hour")], {}, checks)
        with tabular.readable(name):
            months = tabular.scan(file).select(at.dt.month_start().dt.date().unique()).collect(engine="streaming")
        return sorted(months.to_series().drop_nulls())

    def totals(self, landed: Landed) -> Totals:
        """Check every cell, and count devices, hours and samples.

        Raises:
            BadInput: a cell is no number, a share is more than all, or no resource is named.
        """
        parts = [self._counted(path, name, landed.version.billing_period) for path, name in monthly_files.files(landed)]
        usage = {Fact.GPU_UTILIZATION: {name: sum(part[name] for part in parts) for name in ("rows", "sample_count")}}
        return Totals(0, 0, {}, {}, is_final=bool(landed.version.is_final), usage=usage)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        """Give one lazy frame per file."""
        month = landed.version.billing_period
        frames = [self._utilization(path, name, month) for path, name in monthly_files.files(landed)]
        return {Fact.GPU_UTILIZATION: frames}

    def _open(self, native: Path, name: str) -> tuple[Path, MappedColumns]:
        path = self._converted(native, name) if monthly_files.is_json(name) else native
        schema = tabular.native_schema(path, name)
        for column in self._options.columns.values():
            monthly_files.need(schema, column, name, FIX)
        return path, MappedColumns(schema, self._options.columns, self._options.values, self._options.timezone)

    def _converted(self, native: Path, name: str) -> Path:
        """Turn lines of JSON into Parquet once, each cell as text; a line keeps its number as its row."""
        with native.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        wanted = sorted(set(self._options.columns.values()))
        chosen = hashlib.sha256("\0".join(wanted).encode()).hexdigest()[:16]
        target = jailed(self._landing, f"converted/{content}-{chosen}.parquet")
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            cells: dict[str, list[str | None]] = {column: [] for column in wanted}
            for number, row in monthly_files.rows(native, name):
                if number - 1 != len(cells[wanted[0]]):
                    raise BadInput(name, "a line is blank", "Remove it", f"line {number - 1}")
                for column in wanted:
                    value = row.get(column)
                    cells[column].append(None if value is None else str(value))
            part = target.with_suffix(".part")
            pl.DataFrame(cells, schema=dict.fromkeys(wanted, pl.String)).write_parquet(part)
            seal(part, target)
        return target

    def _seconds(self, columns: MappedColumns) -> pl.Expr:
        if columns.has("measured_seconds"):
            return columns.number("measured_seconds")
        return pl.lit(float(self._options.sample_seconds or 0))

    def _counted(self, native: Path, name: str, month: date) -> Mapping[str, int]:
        path, columns = self._open(native, name)
        headers = sorted(set(self._options.columns.values()))
        checking.summed(path, name, headers, {}, self._checks(columns))
        keys = [columns.text(key).alias(key) for key in IDENTITY if columns.has(key)]
        at = columns.instant("hour")
        # Digests are counted, not texts, which take gigabytes for ten million samples. Two of one digest would refuse
        # a load that is right: one chance in a million for so many.
        found = {
            "rows": pl.struct(*keys, hour=at.dt.truncate("1h")).hash().n_unique(),
            "sample_count": pl.struct(*keys, at=at).hash().n_unique(),
        }
        with tabular.readable(name):
            counted = tabular.scan(path).filter(_is_of(at, month)).select(**found).collect(engine="streaming")
        return counted.row(0, named=True)

    def _checks(self, columns: MappedColumns) -> list[Check]:
        whole = 100.0 if self._options.unit == "percent" else 1.0
        checks = []
        for column in (*FRACTIONS, *COUNTS, "measured_seconds", "invocations"):
            if not columns.has(column):
                continue
            header, number = columns.header(column), columns.number(column)
            is_blank = columns.text(column).is_null()
            checks.append(Check(header, ~is_blank & (number.is_null() | ~number.is_finite()), "is no number", FIX))
            checks.append(Check(header, number < 0, "is less than nothing", FIX))
            if column in FRACTIONS:
                problem = f"is no share of time or memory: 0 to {whole:g} was expected"
                checks.append(Check(header, number > whole * TOLERANCE, problem, FIX))
        checks.append(Check(columns.header("busy_fraction"), columns.text("busy_fraction").is_null(), "is blank", FIX))
        seconds = self._seconds(columns)
        too_long = "stands for more than an hour, or for no time"
        checks.append(Check(columns.header("measured_seconds"), (seconds > HOUR) | (seconds <= 0), too_long, FIX))
        named = columns.text("resource_id").is_null() & columns.text("resource_name").is_null()
        resource = "resource_id" if columns.has("resource_id") else "resource_name"
        return [*checks, Check(columns.header(resource), named, "names no resource", FIX)]

    def _utilization(self, native: Path, name: str, month: date) -> pl.LazyFrame:
        path, columns = self._open(native, name)
        scale = 0.01 if self._options.unit == "percent" else 1.0
        at = columns.instant("hour")
        texts = [column for column in (*IDENTITY, *SAID) if columns.has(column)]
        numbers = [column for column in (*FRACTIONS, *COUNTS, "invocations") if columns.has(column)]
        keys = [column for column in IDENTITY if columns.has(column)]
        # A row that stands twice, in overlapping exports of one file, counts once. Names of devices come again with
        # every sample: grouped by their numbers, ten million samples take two thirds of the memory.
        instants = (
            tabular.scan(path)
            .filter(_is_of(at, month))
            .select(
                *[columns.text(column).cast(pl.Categorical).alias(column) for column in keys],
                *[columns.text(column).alias(column) for column in texts if column not in keys],
                *[columns.number(column).alias(column) for column in numbers],
                at=at,
                seconds=self._seconds(columns),
                row=pl.col(tabular.ROW).cast(pl.Int64),
            )
            .group_by(*keys, "at")
            .agg(
                *[pl.col(column).drop_nulls().first() for column in texts if column not in keys],
                *[pl.col(column).mean() for column in numbers],
                pl.col("seconds").max(),
                pl.col("row").min(),
            )
        )
        weighted = partial(_weighted, scale)
        hours = instants.group_by(*keys, hour=pl.col("at").dt.truncate("1h")).agg(
            *[_listed(column) for column in texts if column in {"namespace", "pod"}],
            *[pl.col(column).drop_nulls().first() for column in texts if column == "accelerator"],
            *[weighted(column) for column in FRACTIONS if column in numbers],
            *[pl.col(column).max() for column in COUNTS if column in numbers],
            *[pl.col(column).sum() for column in numbers if column == "invocations"],
            measured_seconds=pl.col("seconds").sum().round().clip(0, HOUR).cast(pl.Int64),
            sample_count=pl.len().cast(pl.Int64),
            source_row=pl.col("row").min(),
        )
        said: dict[str, Any] = {
            **{column: pl.col(column).cast(pl.String) for column in keys},
            "source_file": pl.lit(name),
            "resource_kind": pl.lit(self._options.resource_kind),
            "metric": pl.lit(columns.header("busy_fraction")),
        }
        if "device_count" in numbers:
            said["device_count"] = pl.col("device_count").round().cast(pl.Int64)
        return declared(hours.with_columns(**said), GPU_UTILIZATION)


def _is_of(at: pl.Expr, month: date) -> pl.Expr:
    return at.dt.month_start().dt.date() == pl.lit(month)


def _weighted(scale: float, column: str) -> pl.Expr:
    there = pl.col("seconds").filter(pl.col(column).is_not_null())
    mean = (pl.col(column) * pl.col("seconds")).sum() / there.sum() * scale
    return pl.when(there.len() > 0).then(mean.round(DECIMALS).clip(0, 1)).alias(column)


def _listed(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().unique().sort().str.join(",")
