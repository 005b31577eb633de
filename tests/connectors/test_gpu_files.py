"""GPU utilization in files of any tool."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.generic_gpu import GenericGpu
from connectors.source import Totals
from models.errors import ApportionError, BadInput, BadSettings
from models.facts import GPU_UTILIZATION, Fact, schema

NOW = datetime(2026, 7, 20, tzinfo=UTC)
COLUMNS = {"hour": "time", "busy_fraction": "util", "resource_id": "machine", "device": "gpu"}
HEADER = "time,util,machine,gpu"
Read = Callable[..., tuple[pl.DataFrame, Totals]]


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., GenericGpu]:
    def make(**options: Any) -> GenericGpu:
        chosen = {"columns": COLUMNS, "unit": "percent", "sample_seconds": 60, "location": str(tmp_path / "in")}
        return GenericGpu(
            "gpu", GenericGpu.Options(**{**chosen, **options}), tmp_path / "landing", lambda _: None, lambda: NOW
        )

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(*rows: str, name: str = "gpu.csv") -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        content = "\n".join([HEADER, *rows, ""]).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return put


@pytest.fixture
def read(source: Callable[..., GenericGpu]) -> Read:
    def read_all(month: int = 0, **options: Any) -> tuple[pl.DataFrame, Totals]:
        gpu = source(**options)
        version = gpu.versions()[month]
        landed = gpu.fetch(version)
        totals = gpu.totals(landed)
        frames = [frame.collect() for frame in gpu.read(landed)[Fact.GPU_UTILIZATION]]
        whole = pl.DataFrame(schema=schema(GPU_UTILIZATION))
        found = pl.concat([whole, *frames], how="diagonal").sort("hour", "resource_id", "device")
        said = totals.usage[Fact.GPU_UTILIZATION]
        assert (found.height, found["sample_count"].sum()) == (said["rows"], said["sample_count"])
        required = [name for name, column in GPU_UTILIZATION.items() if column.required]
        assert found.select(required).null_count().sum_horizontal().sum() == 0
        return found, totals

    return read_all


@pytest.mark.parametrize("name", ["gpu.csv", "gpu.csv.gz"])
def test_samples_become_hours_of_a_device(write: Callable[..., Path], read: Read, name: str) -> None:
    write(
        *("2026-07-01T09:00:00Z,40,i-1,0", "2026-07-01T09:01:00Z,60,i-1,0", "2026-07-01T10:00:00Z,100,i-1,0"),
        *("2026-07-01T09:00:00Z,5,i-1,1",),
        name=name,
    )
    found, _ = read()
    hours = found.select("hour", "device", "busy_fraction", "measured_seconds", "source_row").rows()
    nine, ten = datetime(2026, 7, 1, 9, tzinfo=UTC), datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert hours == [(nine, "0", 0.5, 120, 1), (nine, "1", 0.05, 60, 4), (ten, "0", 1.0, 60, 3)]
    assert found["resource_kind"].unique().to_list() == ["instance"]


def test_a_row_that_stands_twice_counts_once(write: Callable[..., Path], read: Read) -> None:
    row = "2026-07-01T09:00:00Z,40,i-1,0"
    write(row, row, "2026-07-01T09:01:00Z,60,i-1,0")
    found, _ = read()
    assert found.select("busy_fraction", "measured_seconds", "sample_count").row(0) == (0.5, 120, 2)


def test_rows_weigh_by_the_time_they_stand_for(
    source: Any, write: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    del source
    write()
    path = tmp_path / "in" / "gpu.csv"
    path.write_text("time,util,machine,secs\n2026-07-01 09:00,1,i-1,600\n2026-07-01 09:30,0,i-1,1800\n")
    columns = {"hour": "time", "busy_fraction": "util", "resource_id": "machine", "measured_seconds": "secs"}
    found, _ = read(columns=columns, unit="fraction", sample_seconds=None)
    assert found.select("busy_fraction", "measured_seconds").row(0) == (0.25, 2400)


def test_each_month_is_a_version_of_its_own(
    write: Callable[..., Path], read: Read, source: Callable[..., GenericGpu]
) -> None:
    write("2026-06-30T23:59:00Z,40,i-1,0", "2026-07-01T00:00:00Z,60,i-1,0")
    june, july = source().versions()
    assert (june.is_final, july.is_final) == (True, False)
    assert read(0)[0]["busy_fraction"].to_list() == [0.4]
    assert read(1)[0]["busy_fraction"].to_list() == [0.6]


def test_times_are_read_as_they_are_written(write: Callable[..., Path], read: Read) -> None:
    write(
        *("2026-07-01T11:00:00+02:00,1,a,0", "2026-07-01 11:00:00,1,b,0", "1782896400,1,c,0", "1782896400000,1,d,0"),
        *("2026-07-01 09:00:00 UTC,1,e,0", "2026-07-01T11:00,1,f,0"),
    )
    found, _ = read(timezone="Europe/Berlin")
    assert found["hour"].unique().to_list() == [datetime(2026, 7, 1, 9, tzinfo=UTC)]
    assert found.height == 6


def test_parquet_and_lines_of_json_say_the_same(
    write: Callable[..., Path], read: Read, tmp_path: Path, source: Callable[..., GenericGpu]
) -> None:
    write("2026-07-01T09:00:00Z,40,i-1,0")
    expected = read()[0].drop("source_file")
    (tmp_path / "in" / "gpu.csv").unlink()
    row = {"time": "2026-07-01T09:00:00Z", "util": 40, "machine": "i-1", "gpu": 0}
    (tmp_path / "in" / "gpu.jsonl").write_text(json.dumps(row) + "\n")
    assert read()[0].drop("source_file").equals(expected)
    (tmp_path / "in" / "gpu.jsonl").unlink()
    at = datetime(2026, 7, 1, 9, tzinfo=UTC).replace(tzinfo=None)
    pl.DataFrame({**row, "time": at}).write_parquet(tmp_path / "in" / "gpu.parquet")
    assert read()[0].drop("source_file").equals(expected)
    assert len(source().versions()) == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("2026-07-01T09:00:00Z,140,i-1,0", r"row 2, column util: '140' is no share of time or memory: 0 to 100"),
        ("2026-07-01T09:00:00Z,-1,i-1,0", r"row 2, column util: '-1' is less than nothing"),
        ("2026-07-01T09:00:00Z,busy,i-1,0", r"row 2, column util: 'busy' is no number"),
        ("2026-07-01T09:00:00Z,nan,i-1,0", r"row 2, column util: 'nan' is no number"),
        ("2026-07-01T09:00:00Z,,i-1,0", r"row 2, column util: None is blank"),
        ("2026-07-01T09:00:00Z,40,,0", r"row 2, column machine: None names no resource"),
        ("yesterday,40,i-1,0", r"row 2, column time: 'yesterday' is no time"),
        ("2026-08-01T09:00:00Z,40,i-1,0", r"row 2, column time: '2026-08-01T09:00:00Z' lies in the future"),
    ],
)
def test_a_bad_cell_is_named(write: Callable[..., Path], read: Read, row: str, problem: str) -> None:
    write("2026-07-01T09:00:00Z,40,i-1,0", row)
    with pytest.raises(BadInput, match=rf"gpu\.csv, {problem}"):
        read()


def test_a_row_too_short_and_a_line_of_no_json_are_refused(
    write: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    path = write("2026-07-01T09:00:00Z,40,i-1,0", "2026-07-01T09:00:00Z,40")
    with pytest.raises(BadInput, match=r"gpu\.csv"):
        read()
    path.unlink()
    (tmp_path / "in" / "gpu.jsonl").write_text('{"time": 1}\nnonsense\n')
    with pytest.raises(BadInput, match=r"gpu\.jsonl, line 2: 'nonsense' is no JSON"):
        read()


def test_a_column_that_is_missing_is_named(write: Callable[..., Path], read: Read) -> None:
    write("2026-07-01T09:00:00Z,40,i-1,0")
    with pytest.raises(BadInput, match="column 'utl' is missing"):
        read(columns={**COLUMNS, "busy_fraction": "utl"})


def test_a_mapping_that_lacks_what_is_needed_is_refused(source: Callable[..., GenericGpu]) -> None:
    with pytest.raises(BadSettings, match="resource_id or resource_name"):
        source(columns={"hour": "time", "busy_fraction": "util"})
    with pytest.raises(BadSettings, match="sample_seconds"):
        source(sample_seconds=None)
    with pytest.raises(ValueError, match="there is no 'bussy'"):
        source(columns={"bussy": "util"})


def test_no_file_is_an_error(tmp_path: Path, source: Callable[..., GenericGpu]) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ApportionError, match="no files to read"):
        source().versions()
