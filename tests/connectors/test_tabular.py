from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from connectors.tabular import Contents, contents

if TYPE_CHECKING:
    from pathlib import Path


def test_statistics_that_python_has_no_date_for_do_not_keep_a_file_from_being_read(tmp_path: Path) -> None:
    file = tmp_path / "bill.parquet"
    columns = {
        "when": pa.array([0, 2**62], pa.timestamp("us")),
        "blank": pa.array(["", ""]),
        "some": pa.array(["", "x"]),
        "number": pa.array([1.5, None]),
    }
    parquet.write_table(pa.table(columns), file)
    assert contents(file, "bill.parquet") == Contents(filled={"when", "some", "number"}, blank={"blank", "some"})
