"""Every reader meets damaged files: it loads what they say to the cent, or names file and place in one error."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.source import CONNECTORS, Source, Totals
from connectors.tabular import UNREADABLE
from models.errors import ApportionError, BadInput
from models.facts import COST_COLUMNS, FACTS, Fact, schema
from tests.connectors.mutations import Mutant, mutant
from tests.connectors.specimen import Specimen, network
from tests.connectors.specimens import specimens

pytestmark = pytest.mark.pipeline

FEW = 200  # of each reader
MANY = 5_000
SECONDS = 20
LONGEST = 1_500
SPLIT = {"EKSPod-EC2", "ECSTask-EC2"}  # operations of lines that repeat other lines' cost


@pytest.fixture(scope="module", autouse=True)
def _network() -> Iterator[None]:
    with network():
        yield


@contextmanager
def in_time(what: str) -> Iterator[None]:
    """Fail where it takes too long: a reader that hangs keeps everybody waiting."""

    def late(*_: object) -> None:
        raise TimeoutError(what)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def everything(source: Source) -> Totals | None:
    """Read all there is as a load does, and check each month as a load does; give the last month's totals."""
    versions = list(source.versions())
    periods = [version.billing_period for version in versions]
    assert periods == sorted(set(periods))
    totals = None
    for version in versions:
        landed = source.fetch(version)
        totals = source.totals(landed)
        try:
            read = {
                fact: [one.collect(engine="streaming") for one in frames]
                for fact, frames in source.read(landed).items()
            }
        except UNREADABLE as error:
            # So does a load: `tests/pipelines/ledger/test_load.py`.
            raise BadInput(landed.version.files[0].name, f"the file is damaged ({error})", "Fetch it again") from error
        for fact, frames in read.items():
            agrees(fact, frames, totals)
    return totals


def agrees(fact: Fact, frames: list[pl.DataFrame], totals: Totals) -> None:
    columns = FACTS[fact]
    for frame in frames:
        assert {name: frame.schema[name] for name in frame.columns} == {
            name: columns[name].dtype for name in frame.columns
        }
    found = pl.concat([pl.DataFrame(schema=schema(columns)), *frames], how="diagonal")
    required = [name for name, column in columns.items() if column.required]
    assert found.select(required).null_count().sum_horizontal().sum() == 0
    if fact is Fact.CHARGES:
        own = found.filter(pl.col("split_parent_resource_id").is_null())
        assert (own.height, found.height - own.height) == (totals.lines, totals.split_lines)
        said: dict[str, Any] = {name: totals.quantized[name] for name in COST_COLUMNS if name in totals.quantized}
        found = own
    else:
        said = dict(totals.usage[fact])
        assert said.pop("rows") == found.height
    for name, total in said.items():
        assert found[name].sum() == total, name


def billed(specimen: Specimen, content: bytes) -> Decimal:
    """Add up the bill with nothing but Python, as a third opinion."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode()
    rows = csv.DictReader(io.StringIO(text, newline=""))
    own = [row for row in rows if row.get("line_item_operation") not in SPLIT]
    return sum((round(Decimal(row[specimen.cost]), 12) for row in own), Decimal(0))


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
def test_a_whole_delivery_is_read(kind: str, tmp_path: Path) -> None:
    for number, specimen in enumerate(specimens()[kind]):
        folder = tmp_path / str(number)
        totals = everything(specimen.source(folder / "in", folder / "landing", specimen.content))
        assert totals, specimen
        assert totals.lines or any(usage["rows"] for usage in totals.usage.values()), specimen
        if specimen.cost:
            assert totals.quantized["billed_cost"] == billed(specimen, specimen.content)


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(FEW, id="few", marks=pytest.mark.faults),
        pytest.param(MANY, id="many", marks=pytest.mark.soak),
    ],
)
def test_a_damaged_one_loads_what_it_says_or_is_refused_by_name(
    kind: str, number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    some = specimens()[kind]
    faults = []
    first = int(os.environ.get("FIRST_MUTANT", "0"))
    for seed in range(first, first + number):
        specimen = some[seed % len(some)]
        found = mutant(specimen.content, specimen.name, seed)
        folder = tmp_path / str(seed)
        what = f"{specimen}, mutant {seed} ({found.how})"
        try:
            with in_time(what):
                fault = met(specimen, found, folder, is_asked_again=seed % 10 == 0)
        except BaseException as error:  # polars' panics are no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            fault = f"{type(error).__name__}: {str(error).strip()[:300]}"
        if fault:
            faults.append(f"{what}: {fault}")
        shutil.rmtree(folder, ignore_errors=True)
    if "Traceback" in (said := capfd.readouterr().err):
        faults.append(f"somebody printed a traceback: {said[:500]}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:40])


def met(specimen: Specimen, found: Mutant, folder: Path, *, is_asked_again: bool) -> str:
    """Read a damaged delivery; say what is wrong with how it went."""
    source = specimen.source(folder / "in", folder / "landing", found.content)
    try:
        totals = everything(source)
    except ApportionError as error:
        return refused(specimen, str(error), folder, is_asked_again=is_asked_again)
    if specimen.cost and found.is_text and totals:
        loaded, expected = totals.quantized["billed_cost"], billed(specimen, found.content)
        if loaded != expected:
            return f"loaded {loaded} where the file says {expected}"
    return ""


def refused(specimen: Specimen, said: str, folder: Path, *, is_asked_again: bool) -> str:
    if not any(place in said for place in (*specimen.places, Path(specimen.name).name, str(folder))):
        return f"the error names no place: {said[:300]}"
    if len(said) > LONGEST or not said.replace("\n", "").isprintable():
        return f"the error is long or not printable: {said[:300]!r}"
    if specimen.answers is not None and is_asked_again:
        # An API that answered nonsense once is asked again: nothing of that stays.
        try:
            again = everything(specimen.source(folder / "in", folder / "landing", specimen.content))
        except ApportionError as error:
            return f"refused still once the API is sane again: {error}"
        if again is None:
            return "nothing is read any more once the API is sane again"
    return ""


@pytest.mark.parametrize("kind", ["aws_cur", "bedrock_logs", "focus", "gcp_billing", "generic_gpu"])
def test_a_bomb_is_refused_before_it_is_unpacked(kind: str, tmp_path: Path) -> None:
    packed = next(specimen for specimen in specimens()[kind] if specimen.name.endswith(".gz"))
    content = gzip.compress(gzip.decompress(packed.content) + b"\n" * (96 << 20), 9)
    with in_time(kind), pytest.raises(BadInput, match=r"\.gz: the file unpacks to more than 64 MiB"):
        everything(packed.source(tmp_path / "in", tmp_path / "landing", content))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bill.csv", b"\n" * (96 << 20))
    packed = next(specimen for specimen in specimens()["aws_cur"] if specimen.name.endswith(".zip"))
    with pytest.raises(BadInput, match=r"\.zip: the file unpacks to more than 64 MiB"):
        everything(packed.source(tmp_path / "in", tmp_path / "landing", out.getvalue()))
