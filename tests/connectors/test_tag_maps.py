from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from connectors.tag_maps import map_of
from models.facts import TAGS

TEXT = st.none() | st.sampled_from(["", "prod", 'a "quoted"\nline', "ünï=;, מ", "x" * 70])


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=9), st.integers(1, 4))
def test_each_row_keeps_its_texts_in_the_order_of_the_keys(rows: list[tuple[str | None, ...]], piece: int) -> None:
    keys = ("user:team", "aws:createdBy", "key with 'quotes'")
    frame = pl.DataFrame(rows, schema=["a", "b", "c"], orient="row", schema_overrides=dict.fromkeys("abc", pl.String))
    pieces = [frame[start : start + piece] for start in range(0, max(len(rows), 1), piece)]
    cells = {key: pl.col(name) for key, name in zip(keys, "abc", strict=True)}
    found = pl.concat([part.lazy() for part in pieces]).select(tags=map_of(cells)).collect(engine="streaming")
    assert found.schema == {"tags": TAGS}
    entries = found["tags"].cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).to_list()
    assert entries == [
        [{"key": key, "value": text} for key, text in zip(keys, row, strict=True) if text is not None] for row in rows
    ]
