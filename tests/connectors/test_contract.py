"""What every connector that reads bills from files must do, shown on a small bill of each: add yours to `BILLS`.

Connectors of usage keep a contract of their own, in `test_usage_contract.py`.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.source import CONNECTORS, Landed, Source, Totals, connector
from models.errors import ApportionError, BadInput
from models.facts import CHARGES, Fact
from tests.connectors import bills, focus_files, gcp_rows

CANARIES = {
    "AWS_ACCESS_KEY_ID": "canary-access-key",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_SESSION_TOKEN": "canary-token",
    "OPENAI_ADMIN_KEY": "canary-openai",
    "GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent/canary-google.json",
}
HOSTILE = {
    'quo"te': 'it\'s "said"',
    "line": "one\ntwo\r\nthree",
    "script": "<script>alert('x')</script>",
    "formula": "=cmd|' /C calc'!A0",
    "back": "\\",
    "sql": "'; drop table charges; --",
    "path": "../../etc/passwd",
    "right-to-left": "\u202egnp.exe\u202c",
    "ten-kilobytes": "x" * 10_240,
    "=key": "\t{{7*7}}",
}


@dataclass(frozen=True)
class Bill:
    """How to write a small bill of one format.

    Attributes:
        line: make a line; columns given by name say otherwise.
        write: write lines into one file.
        required: a column no bill can do without, and one that may be left out.
        cost: native column of the billed cost.
        tags: native column of the tags, where the format has them in one.
    """

    line: Callable[..., Mapping[str, Any]]
    write: Callable[..., Path]
    required: str
    optional: str
    cost: str
    tags: str


BILLS: Mapping[str, Bill] = {
    "aws_cur": Bill(
        line=lambda **columns: bills.line(**{"product_sku": "SKU", **columns}),
        write=lambda path, *lines: bills.write(path, lines),
        required="line_item_usage_start_date",
        optional="product_sku",
        cost="line_item_unblended_cost",
        tags="resource_tags",
    ),
    "focus": Bill(
        line=focus_files.line,
        write=focus_files.write,
        required="ChargePeriodStart",
        optional="ListCost",
        cost="BilledCost",
        tags="Tags",
    ),
    "gcp_billing": Bill(
        line=gcp_rows.line,
        write=gcp_rows.write_lines,
        required="usage_start_time",
        optional="cost_at_list",
        cost="cost",
        tags="labels",
    ),
}
FORMATS = ("bill.csv", "bill.csv.gz", "bill.parquet")


@pytest.fixture(params=sorted(BILLS))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture(autouse=True)
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in CANARIES.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def opened(tmp_path: Path, kind: str) -> Callable[..., Source]:
    def make(location: object, **options: Any) -> Source:
        chosen = connector(kind)
        return chosen("bill", chosen.Options(location=str(location), **options), tmp_path / "landing", lambda _: None)

    return make


def landed_of(source: Source) -> Landed:
    (version,) = source.versions()
    return source.fetch(version)


def read(source: Source) -> tuple[pl.DataFrame, Totals]:
    landed = landed_of(source)
    totals = source.totals(landed)
    frames = [frame.collect(engine="streaming") for frame in source.read(landed)[Fact.CHARGES]]
    return pl.concat(frames, how="diagonal"), totals


def text_of(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error!s} {error!r}"
        error = error.__cause__


def test_every_connector_that_reads_bills_from_files_has_a_small_one() -> None:
    # What can be named by `location` and is no usage is a bill: connectors of usage take other facts from their files.
    assert set(BILLS) <= set(CONNECTORS)
    assert {"aws_cur", "focus", "gcp_billing"} <= set(BILLS)


def test_columns_are_those_declared_and_all_that_are_required(
    tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]
) -> None:
    BILLS[kind].write(tmp_path / name, BILLS[kind].line())
    charges, _ = read(opened(tmp_path / name))
    assert set(charges.columns) <= set(CHARGES)
    assert all(charges.schema[column] == CHARGES[column].dtype for column in charges.columns)
    required = [column for column, fact in CHARGES.items() if fact.required]
    assert charges.select(required).null_count().sum_horizontal().item() == 0


def test_totals_are_the_sums_of_what_is_read(
    tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]
) -> None:
    bill = BILLS[kind]
    lines = [bill.line(**{bill.cost: cost}) for cost in (0.1, 0.2, -0.3000000000001234, 4e-9, 12345.678901234567)]
    bill.write(tmp_path / name, *lines)
    charges, totals = read(opened(tmp_path / name))
    assert totals.lines == charges.height == len(lines)
    assert totals.quantized["billed_cost"] != 0
    for column, total in totals.quantized.items():
        assert charges[column].sum() == total
        assert abs(totals.exact[column] - total) < 1e-11


def test_every_line_says_where_it_stands(tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    bill.write(tmp_path / "in" / name, *[bill.line() for _ in range(3)])
    charges, _ = read(opened(tmp_path / "in"))
    assert charges.select("source_file", "source_row").rows() == [(name, 1), (name, 2), (name, 3)]


def test_an_unknown_column_changes_nothing(tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    known = read(opened(bill.write(tmp_path / "known" / name, bill.line())))[0]
    unknown = read(opened(bill.write(tmp_path / "unknown" / name, bill.line(x_brand_new="1"))))[0]
    assert unknown.equals(known)


def test_a_missing_column_is_named(tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    line = {column: cell for column, cell in bill.line().items() if column != bill.required}
    bill.write(tmp_path / name, line)
    with pytest.raises(BadInput) as raised:
        read(opened(tmp_path / name))
    assert f"{name}: column '{bill.required}' is missing" in str(raised.value)


def test_a_column_that_may_be_missing_may_be_missing(
    tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]
) -> None:
    bill = BILLS[kind]
    line = {column: cell for column, cell in bill.line().items() if column != bill.optional}
    assert read(opened(bill.write(tmp_path / name, line)))[1].lines == 1


def test_a_truncated_file_is_named(tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    path = bill.write(tmp_path / name, *[bill.line() for _ in range(300)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - len(whole) // 3])
    with pytest.raises(BadInput) as raised:
        read(opened(path))
    assert name in str(raised.value)


def test_an_empty_file_is_named(tmp_path: Path, name: str, opened: Callable[..., Source]) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    with pytest.raises(BadInput, match="the file is empty"):
        read(opened(path))


def test_a_file_without_lines_is_refused(tmp_path: Path, kind: str, opened: Callable[..., Source]) -> None:
    bill, path = BILLS[kind], tmp_path / "bill.csv.gz"
    header, *_ = bill.write(tmp_path / "one" / "bill.csv", bill.line()).read_bytes().splitlines(keepends=True)
    path.write_bytes(gzip.compress(header))
    with pytest.raises(BadInput, match="has no lines"):
        read(opened(path))


def test_bad_money_is_named_by_row_column_and_value(tmp_path: Path, kind: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    bill.write(tmp_path / "bill.csv", bill.line(), bill.line(**{bill.cost: "free"}))
    with pytest.raises(BadInput, match=rf"bill\.csv, row 2, column {bill.cost}: 'free' is no amount"):
        read(opened(tmp_path / "bill.csv"))


def test_no_location_is_no_bill(tmp_path: Path, opened: Callable[..., Source]) -> None:
    with pytest.raises(ApportionError, match="no such file or folder"):
        list(opened(tmp_path / "nowhere").versions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ApportionError, match="no bills here"):
        list(opened(tmp_path / "empty").versions())


def test_listing_twice_gives_the_same_versions(
    tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]
) -> None:
    path = BILLS[kind].write(tmp_path / name, BILLS[kind].line())
    first, second = (list(opened(path).versions()) for _ in range(2))
    assert [version.fingerprint for version in first] == [version.fingerprint for version in second]
    frames = [read(opened(path))[0] for _ in range(2)]
    assert frames[0].equals(frames[1])


def test_restated_content_of_the_same_size_is_another_version(
    tmp_path: Path, kind: str, opened: Callable[..., Source]
) -> None:
    bill = BILLS[kind]
    prints = []
    for cost in ("1.25", "1.75"):
        path = bill.write(tmp_path / "bill.csv", bill.line(**{bill.cost: cost}))
        (version,) = opened(path).versions()
        prints.append((version.fingerprint, path.stat().st_size))
    assert prints[0][1] == prints[1][1]
    assert prints[0][0] != prints[1][0]


def test_a_version_is_read_by_whoever_holds_it(tmp_path: Path, kind: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    bill.write(tmp_path / "bill.parquet", bill.line())
    (version,) = opened(tmp_path / "bill.parquet").versions()
    elsewhere = opened(tmp_path / "bill.parquet")
    landed = elsewhere.fetch(version)
    assert elsewhere.totals(landed).lines == 1
    assert len(elsewhere.read(landed)[Fact.CHARGES]) == 1


def test_hostile_values_are_only_data(tmp_path: Path, kind: str, name: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    charges, totals = read(opened(bill.write(tmp_path / name, bill.line(**{bill.tags: HOSTILE}))))
    assert dict(charges["tags"][0]) == HOSTILE
    assert totals.lines == 1
    assert not (tmp_path / "landing").exists() or not any((tmp_path / "landing").rglob("passwd"))


def test_a_hostile_cell_makes_no_long_error(tmp_path: Path, kind: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    bill.write(tmp_path / "bill.csv", bill.line(**{bill.cost: "\x1b[31m" + "9x" * 5000}))
    with pytest.raises(BadInput) as raised:
        read(opened(tmp_path / "bill.csv"))
    assert len(str(raised.value)) < 500
    assert "\x1b" not in str(raised.value)


def test_no_secret_is_in_a_frame_or_an_error(tmp_path: Path, kind: str, opened: Callable[..., Source]) -> None:
    bill = BILLS[kind]
    charges, totals = read(opened(bill.write(tmp_path / "bill.csv", bill.line())))
    said = [charges.write_json(), repr(totals)]
    bill.write(tmp_path / "bad.csv", bill.line(**{bill.cost: "free"}))
    with pytest.raises(BadInput) as bad:
        read(opened(tmp_path / "bad.csv"))
    with pytest.raises(ApportionError) as denied:
        list(opened("s3://acme-billing/exports", endpoint_url="http://127.0.0.1:9", region="us-east-1").versions())
    with pytest.raises(ApportionError) as no_profile:
        list(opened("s3://acme-billing/exports", profile="nobody").versions())
    for raised in (bad.value, denied.value, no_profile.value):
        said += text_of(raised)
    assert not [canary for canary in CANARIES.values() for text in said if canary in text]
    assert "canary" not in repr(opened(tmp_path / "bill.csv"))
