"""A small company whose bills have been run once; whoever changes something takes a copy."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest.mock import patch

import polars as pl
import pytest
import yaml

from examples.sample import write_sample
from pipelines.cli.app import main
from pipelines.ledger.tables import Ledger
from pipelines.settings import Settings
from pipelines.warehouse.reader import ask, report
from tests.once import once

if TYPE_CHECKING:
    from pipelines.ledger.delta import Partition

Rows: TypeAlias = list[tuple[Any, ...]]
JULY, AUGUST = date(2026, 7, 1), date(2026, 8, 1)
MONTHS = (JULY, AUGUST)
LINES = 1400
BILLS = Path("bills/meridian-cur")
CONFIG: Mapping[str, Any] = {
    "home": ".apportion",
    "review_packs": 0,  # tests of packs write their own
    "sources": [{"name": "aws", "type": "aws_cur", "location": "bills"}],
    "dimensions": {
        "team": [{"tag": "team"}, {"account": {"777700000001": "research"}}],
        "environment": [{"tag": "env"}],
    },
}


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit status."""

    status: int
    out: str
    said: str


@dataclass(frozen=True)
class Company:
    """A folder with a configuration, its bills and its home."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / ".apportion"

    @property
    def config(self) -> Path:
        return self.folder / "apportion.yaml"

    @property
    def settings(self) -> Settings:
        return Settings.load(self.config)

    @property
    def ledger(self) -> Ledger:
        return Ledger.of(self.settings)

    def configure(self, **changed: Any) -> Company:
        """Write the configuration, with some fields other than usual."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump({**CONFIG, **changed}), encoding="utf-8")
        return self

    def bill(self, *, deliveries: int = 2, months: Sequence[date] = MONTHS) -> Company:
        """Have the bills delivered; a second delivery restates August."""
        lines = LINES * len(months) // 2
        write_sample(self.folder, lines=lines, months=months, deliveries=deliveries, gcp=False, tokens=False, gpu=False)
        return self

    def copy(self, folder: Path) -> Company:
        shutil.copytree(self.folder, folder, symlinks=True)
        return Company(folder)

    def apportion(self, command: str, *arguments: str) -> Answer:
        """Run a command as the shell would, but in this process: importing Dagster takes seconds."""
        out, said = io.StringIO(), io.StringIO()
        status: Any = 0
        line = ["apportion", command, "--config", str(self.config), *arguments]
        redirected = contextlib.redirect_stdout(out), contextlib.redirect_stderr(said)
        with patch.object(sys, "argv", line), redirected[0], redirected[1]:
            try:
                main()
            except SystemExit as left:
                status = left.code
        return Answer(int(status or 0), out.getvalue(), said.getvalue())

    def run(self, *arguments: str) -> None:
        """Run the pipeline, which must succeed."""
        answer = self.apportion("run", *arguments)
        assert answer.status == 0, answer.said

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `apportion run` in a process of its own."""
        command = [str(Path(sys.executable).with_name("apportion")), "run", "--config", str(self.config), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ), cwd=self.folder)

    def marts(self) -> dict[str, Rows]:
        """Give every published mart as sorted rows; when something was loaded is left out."""
        with report(self.home) as connection:
            named = "select table_name from duckdb_tables() where schema_name = 'marts' order by 1"
            tables = [name for (name,) in connection.sql(named).fetchall()]
            frames = {name: connection.sql(f"from marts.{name}").pl() for name in tables}
        return {name: sorted(frame.drop("loaded_at", strict=False).rows(), key=repr) for name, frame in frames.items()}

    def ask(self, sql: str) -> Rows:
        """Answer a question from the published report."""
        return ask(self.home, sql).rows()

    def versions(self) -> dict[str, int]:
        """Give the version of each table of the ledger."""
        ledger = self.ledger
        return {table.name: table.open().version() for table in (ledger.charges, ledger.loads, ledger.attributions)}

    def load_ids(self) -> dict[tuple[str, date], str]:
        """Say which load is current in each month."""
        return {month: partition.load_id for month, partition in self.ledger.charges.partitions().items()}

    def publication(self) -> str:
        """Give the name of the file that people read."""
        return (self.home / "reports.duckdb").resolve().name

    def lines(self) -> pl.LazyFrame:
        """Give every current line of the ledger."""
        found: list[Partition] = list(self.ledger.charges.partitions().values())
        return self.ledger.charges.scan([path for partition in found for path in partition.files])

    def data_file(self, month: date) -> Path:
        """Give the data file of a month's current delivery."""
        return max((self.folder / BILLS / "data" / f"BILLING_PERIOD={month:%Y-%m}").rglob("*.parquet"))

    def manifest(self, month: date) -> Path:
        """Give the manifest of a month's current delivery."""
        return self.folder / BILLS / "metadata" / f"BILLING_PERIOD={month:%Y-%m}" / "meridian-cur-Manifest.json"


def whole(folder: Path) -> None:
    """Deliver July and August, and run the pipeline on them."""
    Company(folder).configure().bill().run()


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """July and August, both delivered whole, run once; read it, do not change it."""
    return Company(once(tmp_path_factory, "company", whole))


@pytest.fixture(scope="session")
def before_restatement(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The same company before August was restated, run once; read it, do not change it."""
    return Company(once(tmp_path_factory, "before", lambda made: Company(made).configure().bill(deliveries=1).run()))


@pytest.fixture
def copied(company: Company, tmp_path: Path) -> Company:
    """A copy of the company that a test may change."""
    return company.copy(tmp_path / "copy")


@pytest.fixture
def restated(before_restatement: Company, tmp_path: Path) -> Company:
    """A copy of the company whose August has just been restated and not been loaded again."""
    return before_restatement.copy(tmp_path / "restated").bill()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("APPORTION_")]:
        monkeypatch.delenv(name)
