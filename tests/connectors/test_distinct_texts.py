from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from connectors.distinct_texts import once_each


@given(st.lists(st.none() | st.sampled_from(["", "1", "2", "no number", "x" * 40]), max_size=12), st.integers(1, 5))
def test_each_line_has_what_its_text_says(texts: list[str | None], piece: int) -> None:
    pieces = [pl.Series("text", texts[at : at + piece], pl.String) for at in range(0, max(len(texts), 1), piece)]
    frame = pl.concat([one.to_frame() for one in pieces], rechunk=False).lazy()

    def says(text: pl.Expr) -> pl.Expr:
        return text.cast(pl.Int64, strict=False)

    for found in (frame, frame.slice(1)):
        wanted = found.select(says(pl.col("text"))).collect()
        assert found.select(once_each(pl.col("text"), says, pl.Int64())).collect(engine="streaming").equals(wanted)
