"""What a record of token usage is between a native file and the ledger: its fields checked, its keys blanked.

Records are kept as Parquet with the raw `usage` object picked apart; `frame` turns that into declared columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from connectors.landing import seal
from connectors.token_rows import SHOWN, Row, parse, without_keys
from models.errors import BadInput
from models.facts import TAGS, TOKEN_USAGE, declared
from models.llm_providers import UNDETERMINED
from models.money import quantize_decimal
from models.token_buckets import FIELDS, buckets, flat, impossible

# Columns of TOKEN_USAGE, and `usage`: the raw object, or None where the record has none.
Record = dict[str, Any]
Made = TypeVar("Made")

BATCH: Final = 10_000
# An ARN has at most so many characters; a longer model id is something else.
LARGEST: Final = Decimal(10) ** 26
LONGEST_ID: Final = 2_048
LONGEST_TEXT: Final = 16_384
EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
# Clocks differ; a log from further ahead is damaged, and its month does not exist yet.
AHEAD: Final = timedelta(hours=1)
FIX: Final = "Correct or remove the record, then run again"

_BUCKETS: Final = frozenset(buckets(pl.col("usage")))
_MONEY: Final = pa.decimal128(38, 12)
_TYPES: Final[Mapping[str, pa.DataType]] = {
    "source_row": pa.int64(),
    "usage_start": pa.timestamp("us", "UTC"),
    "usage_end": pa.timestamp("us", "UTC"),
    "requests": pa.int64(),
    "quantity": _MONEY,
    "is_batch": pa.bool_(),
    "tags": pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])),
    "response_cache_hit": pa.bool_(),
    "reported_cost": _MONEY,
}
COLUMNS: Final = tuple(name for name in TOKEN_USAGE if name not in _BUCKETS | {"source_file"})
SCHEMA: Final = pa.schema(
    [
        *((name, _TYPES.get(name, pa.string())) for name in COLUMNS),
        ("usage", pa.struct([(field, pa.int64()) for field in FIELDS])),
    ]
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = ((1e17, 1_000), (1e14, 1), (1e11, -1_000))  # nanoseconds, microseconds, milliseconds; else seconds


def text(value: Any) -> str | None:
    """Give text without API keys, blank as None."""
    return None if value is None or value == "" else without_keys(str(value))


def held(value: Any) -> Any:
    """Give a nested value, also where a table keeps it as JSON text.

    Raises:
        ValueError: the text is no JSON.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return parse(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{value[:SHOWN]!r} is no JSON ({str(error)[:SHOWN]})") from None


def mapping(value: Any) -> Mapping[str, Any]:
    """Give an object, also from JSON text or an Arrow map; what is none is empty."""
    if type(value) is dict:
        return value
    found = held(value)
    if isinstance(found, list) and all(isinstance(pair, tuple) for pair in found):
        return dict(found)
    return found if isinstance(found, Mapping) else {}


def tags_of(*parts: Mapping[str, Any]) -> dict[str, str]:
    """Give single values as tags; lists and objects are no tags."""
    return {
        str(key): said
        for part in parts
        for key, value in part.items()
        if not isinstance(value, dict | list) and (said := text(value)) is not None
    }


def instant(value: Any, field: str) -> datetime:
    """Read a time: ISO 8601 (UTC where it does not say), or seconds, milli-, micro- or nanoseconds since 1970.

    Raises:
        ValueError: it is none, lies in the future, or before there was anything to use.
    """
    try:
        found = value if isinstance(value, datetime) else _instant(str(value).strip())
    except (ValueError, OverflowError):
        raise ValueError(f"{field} is {str(value)[:SHOWN]!r}, which is no date and time") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if found > datetime.now(UTC) + AHEAD:
        raise ValueError(f"{field} is {found:%Y-%m-%d %H:%M:%S} UTC, which lies in the future")
    if found < EARLIEST:
        raise ValueError(f"{field} is {found:%Y-%m-%d %H:%M:%S} UTC, which lies too far in the past")
    return found


def _instant(written: str) -> datetime:
    if not re.fullmatch(r"\d+(\.\d+)?", written):
        return datetime.fromisoformat(written)
    number = Decimal(written)
    scale = next((scale for least, scale in _UNITS if number >= least), -1_000_000)
    microseconds = number / scale if scale > 0 else number * -scale
    return _EPOCH + timedelta(microseconds=int(microseconds))


def amount(value: Any, field: str) -> Decimal | None:
    """Read an amount of money or of a unit.

    Raises:
        ValueError: it is none.
    """
    if value is None or value == "":
        return None
    try:
        found = quantize_decimal(Decimal(str(value)))
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or abs(found) >= LARGEST:
        raise ValueError(f"{field} is {str(value)[:SHOWN]!r}, which is no amount")
    return found


def checked(record: Record) -> Record:
    """Complete a record: every column there, the model id of a sensible length, the provider never null.

    Raises:
        ValueError: a text is too long, or the usage object cannot be read; says which.
    """
    model_id = record.get("llm_model_id") or ""
    if len(model_id) > LONGEST_ID:
        raise ValueError(f"the model id {model_id[:SHOWN]!r}… has {len(model_id):,} characters")
    for name, value in record.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise ValueError(f"{name} {value[:SHOWN]!r}… has {len(value):,} characters")
    record["provider_name"] = record.get("provider_name") or UNDETERMINED
    record["tags"] = [{"key": key, "value": value} for key, value in record.get("tags", {}).items()]
    return record


def to_parquet(rows: Iterable[tuple[Row, Record]], name: str, target: Path) -> None:
    """Write records, a batch in memory at a time.

    Raises:
        BadInput: a record says what cannot be; names its line.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    source = iter(rows)
    with parquet.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(source, BATCH)):
            table = _table([_flat(row, record, name) for row, record in batch])
            _refuse_impossible(table, [row for row, _ in batch], name)
            writer.write_table(table)
    seal(part, target)


def _flat(row: Row, record: Record, name: str) -> Record:
    def complete() -> Record:
        usage = record.get("usage")
        return {**checked(record), "usage": None if usage is None else flat(usage)}

    return explained(complete, row, name)


def explained(make: Callable[[], Made], row: Row, name: str) -> Made:
    """Do something with a row, and name the row where it fails.

    Raises:
        BadInput: as `make` says with a ValueError.
    """
    try:
        return make()
    except ValueError as error:
        raise BadInput(name, without_keys(str(error)), FIX, " ".join(map(str, row.place))) from None


def _table(records: Sequence[Record]) -> pa.Table:
    empty: dict[str, Any] = {}
    usages = [record["usage"] or empty for record in records]
    fields, names = set[str]().union(*usages), set[str]().union(*records)
    counts = [_column(usages, field, pa.int64(), is_there=field in fields) for field in FIELDS]
    columns = [_column(records, name, SCHEMA.field(name).type, is_there=name in names) for name in COLUMNS]
    return pa.Table.from_arrays([*columns, pa.StructArray.from_arrays(counts, list(FIELDS))], schema=SCHEMA)


def _column(rows: Sequence[Record], name: str, kind: pa.DataType, *, is_there: bool) -> pa.Array:
    return pa.array([row.get(name) for row in rows], kind) if is_there else pa.nulls(len(rows), kind)


def _refuse_impossible(table: pa.Table, rows: Sequence[Row], name: str) -> None:
    frame = pl.DataFrame(pl.from_arrow(table.select(["usage"]))).select(**buckets(pl.col("usage")))
    for problem, is_so in impossible().items():
        if (bad := frame.with_row_index("at").filter(is_so)).height:
            at, *_ = bad.row(0)
            said = ", ".join(
                f"{column} {value}" for column, value in bad.drop("at").row(0, named=True).items() if value
            )
            raise BadInput(name, f"{problem} ({said})", FIX, " ".join(map(str, rows[at].place)))


def frame(path: Path, file: str, left_out: Sequence[int]) -> pl.LazyFrame:
    """Give the declared columns of a file's records, the left-out source rows apart."""
    scanned = pl.scan_parquet(path, glob=False)
    if left_out:
        scanned = scanned.filter(~pl.col("source_row").is_in(left_out))
    found = scanned.with_columns(
        pl.col("tags").cast(TAGS),
        pl.lit(file).alias("source_file"),
        **buckets(pl.col("usage")),
    )
    return declared(found.drop("usage"), TOKEN_USAGE)


def months(path: Path) -> Iterator[datetime]:
    """Give the months of use in a file."""
    found = pl.scan_parquet(path, glob=False).select(pl.col("usage_start").dt.truncate("1mo").unique()).collect()
    yield from found["usage_start"].to_list()
