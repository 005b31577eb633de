"""What a record of token usage is between a native file and the ledger: its fields checked, its keys blanked.

Records are kept as Parquet with the raw `usage` object picked apart; `frame` turns that into declared columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
from pyarrow import compute, parquet

from connectors import usage_objects
from connectors.landing import seal
from connectors.token_rows import SHORTEST_KEY, SHOWN, Place, parse, without_keys
from models.errors import BadInput
from models.facts import TAGS, TOKEN_USAGE, declared
from models.llm_providers import UNDETERMINED
from models.money import quantize_decimal
from models.token_buckets import ADDITIVE, FIELDS, buckets, flat, impossible

# Columns of TOKEN_USAGE, and `usage`: the raw object, or None where the record has none.
Record = dict[str, Any]

# What is in memory at a time: so many records, and records of so many bytes of the file.
BATCH: Final = 10_000
BATCH_BYTES: Final = 32 << 20
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
TEXTS: Final = tuple(name for name in COLUMNS if name not in _TYPES)
SCHEMA: Final = pa.schema(
    [
        *((name, _TYPES.get(name, pa.string())) for name in COLUMNS),
        ("usage", pa.struct([(field, pa.int64()) for field in FIELDS])),
        # What the raw object adds to the sums by other arithmetic than `buckets`: what a load is reconciled against.
        ("counted", pa.struct([(name, pa.int64()) for name in ADDITIVE])),
    ]
)
_BLANK: Final[Record] = dict.fromkeys(COLUMNS)
_IN_ORDER: Final = itemgetter(*COLUMNS)
_NOTHING: Final = (0,) * len(ADDITIVE)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = ((1e17, 1_000), (1e14, 1), (1e11, -1_000))  # nanoseconds, microseconds, milliseconds; else seconds


def text(value: Any) -> str | None:
    """Give text without API keys, blank as None."""
    if value is None or value == "":
        return None
    said = value if type(value) is str else str(value)
    return said if len(said) < SHORTEST_KEY else without_keys(said)


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
        found = quantize_decimal(value if isinstance(value, Decimal) else Decimal(str(value)))
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or abs(found) >= LARGEST:
        raise ValueError(f"{field} is {str(value)[:SHOWN]!r}, which is no amount")
    return found


class Kept(NamedTuple):
    """A record on its way into a batch; the native row is gone.

    Attributes:
        place: kind and number of the native line, for messages.
        size: about how many bytes of the file it stands for.
        record: its columns.
        usage: the fields of its usage object.
        counted: what that object adds to the sums, as `usage_objects` counts it.
    """

    place: Place
    size: int
    record: Record
    usage: Mapping[str, int]
    counted: Sequence[int]


def kept(place: Place, size: int, record: Record) -> Kept:
    """Pick a record's usage object apart and count it, twice and in two ways.

    Raises:
        ValueError: the usage object cannot be read; says which field.
    """
    raw = record.pop("usage", None)
    if raw is None:
        return Kept(place, size, record, {}, (record.get("requests") or 0, *_NOTHING[1:]))
    usage = flat(raw)
    _, *counted = usage_objects.count(raw).values()
    return Kept(place, size, record, usage, (record.get("requests") or 0, *counted))


def to_parquet(records: Iterable[Kept], name: str, target: Path) -> None:
    """Write records, a batch in memory at a time.

    Raises:
        BadInput: a record says what cannot be; names its line.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with parquet.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for batch in _batches(records):
            table = _table(batch)
            _refuse_too_long(table, batch, name)
            _refuse_impossible(table, batch, name)
            writer.write_table(table)
    seal(part, target)


def _batches(records: Iterable[Kept]) -> Iterator[list[Kept]]:
    batch: list[Kept] = []
    size = 0
    for one in records:
        batch.append(one)
        size += one.size
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def refused(error: ValueError, place: Place, name: str) -> BadInput:
    """Give the error of a row, which names it."""
    return BadInput(name, without_keys(str(error)), FIX, " ".join(map(str, place)))


def _table(batch: Sequence[Kept]) -> pa.Table:
    said = set[str]().union(*(one.record for one in batch))
    columns = dict(zip(COLUMNS, zip(*(_IN_ORDER({**_BLANK, **one.record}) for one in batch), strict=True), strict=True))
    columns["provider_name"] = tuple(provider or UNDETERMINED for provider in columns["provider_name"])
    usages = [one.usage for one in batch]
    fields = set[str]().union(*usages)
    counts = [_column([usage.get(field) for usage in usages], pa.int64(), field in fields) for field in FIELDS]
    sums = [pa.array(column, pa.int64()) for column in zip(*(one.counted for one in batch), strict=True)]
    return pa.Table.from_arrays(
        [
            *(
                _tags(values) if name == "tags" else _column(values, SCHEMA.field(name).type, is_said)
                for name, values in columns.items()
                for is_said in (name in said or name == "provider_name",)
            ),
            pa.StructArray.from_arrays(counts, list(FIELDS)),
            pa.StructArray.from_arrays(sums, list(ADDITIVE)),
        ],
        schema=SCHEMA,
    )


def _column(values: Sequence[Any], kind: pa.DataType, is_said: bool) -> pa.Array:
    return pa.array(values, kind) if is_said else pa.nulls(len(values), kind)


def _tags(rows: Sequence[Mapping[str, str] | None]) -> pa.Array:
    """Give tags as Arrow keeps them: all keys, all values, and where each row's begin."""
    ends = [0]
    for tags in rows:
        ends.append(ends[-1] + len(tags or ()))
    pairs = [
        pa.array(list(chain.from_iterable(part)), pa.string())
        for part in ((tags or () for tags in rows), (tags.values() if tags else () for tags in rows))
    ]
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.StructArray.from_arrays(pairs, ["key", "value"]))


def _refuse_too_long(table: pa.Table, batch: Sequence[Kept], name: str) -> None:
    for column in TEXTS:
        limit = LONGEST_ID if column == "llm_model_id" else LONGEST_TEXT
        # Bytes are at least as many as characters, and cheaper: they tell whether to look closer.
        if (compute.max(compute.binary_length(table[column])).as_py() or 0) <= limit:
            continue
        for one in batch:
            text = one.record.get(column) or ""
            if len(text) > limit:
                what = "the model id" if column == "llm_model_id" else column
                said = f"{what} {text[:SHOWN]!r}… has {len(text):,} characters"
                raise refused(ValueError(said), one.place, name)


def _refuse_impossible(table: pa.Table, batch: Sequence[Kept], name: str) -> None:
    frame = pl.DataFrame(pl.from_arrow(table.select(["usage"]))).select(**buckets(pl.col("usage")))
    problems = impossible()
    if not frame.select(pl.any_horizontal(*problems.values()).any()).item():
        return
    for problem, is_so in problems.items():
        if (bad := frame.with_row_index("at").filter(is_so)).height:
            at, *_ = bad.row(0)
            said = ", ".join(
                f"{column} {value}" for column, value in bad.drop("at").row(0, named=True).items() if value
            )
            raise refused(ValueError(f"{problem} ({said})"), batch[at].place, name)


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
    return declared(found.drop("usage", "counted"), TOKEN_USAGE)


def months(path: Path) -> Iterator[datetime]:
    """Give the months of use in a file."""
    found = pl.scan_parquet(path, glob=False).select(pl.col("usage_start").dt.truncate("1mo").unique()).collect()
    yield from found["usage_start"].to_list()
