"""Write Meridian AI's bills and the truth of every line: `python -m examples.sample --out DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl

from examples import bedrock, capacity, commitments, compute, corporate, cur2, pods, sagemaker, shared, tail
from examples import gcp as google
from examples import gpu as accelerators
from examples import tokens as token_logs
from examples.bill import Month, Tagging, lines
from examples.company import MONTHS, OPEN_FROM, RESTATED_MONTH, hours_in

_STEPS: Final = (24, 6, 1)
"""Hours in the finest lines, from a daily export to an hourly one; before them comes the whole month."""
_LINES_PER_BATCH: Final = 60_000


def write_sample(  # noqa: PLR0913 - all but the folder are optional
    folder: Path,
    *,
    seed: int = 7,
    months: Sequence[date] = MONTHS,
    lines: int | None = None,
    tagging: Tagging = "half",
    deliveries: int = 2,
    gcp: bool = True,
    gpu: bool = True,
    tokens: bool = True,
) -> None:
    """Write bills under `folder/bills` and truth under `folder/truth`; Google's bill under `folder/gcp`.

    With `gpu`, metrics and job records of accelerators go under `folder/gpu`; with `tokens`, logs of tokens and
    OpenAI's bill under `folder/tokens`.

    `lines` counts the current deliveries of the AWS bill together. More of them come from more small resources; fewer
    from coarser intervals, so that a small sample still spends what the company spends. With `deliveries=1` the
    restated month is left as it first came, open and uncorrected.

    Raises:
        ValueError: `lines` is too few to hold every kind of line once.
    """
    for position, start in enumerate(months):
        wanted = None if lines is None else lines * (position + 1) // len(months) - lines * position // len(months)
        for delivery in _deliveries(start, seed, deliveries):
            frames = _month(delivery, tagging, wanted)
            cur2.deliver(folder / "bills", folder / "truth", delivery, cur2.numbered(frames, delivery))
    if gpu:
        accelerators.write(folder, seed=seed, months=months)
    if gcp:
        google.write(folder, seed=seed, months=months, tagging=tagging)
    if tokens:
        token_logs.write(folder, seed=seed, months=months)


def _deliveries(start: date, seed: int, deliveries: int) -> Iterator[cur2.Delivery]:
    if start != RESTATED_MONTH:
        yield cur2.Delivery(start, seed, 1, is_final=start < OPEN_FROM)
        return
    yield cur2.Delivery(start, seed, 1, is_final=False)
    if deliveries > 1:
        yield cur2.Delivery(start, seed, 2, is_final=True)


def _month(delivery: cur2.Delivery, tagging: Tagging, wanted: int | None) -> Iterator[pl.DataFrame]:
    """Bill a month: the company first, then as much of the long tail as makes `wanted` lines."""
    month = Month(
        start=delivery.month,
        seed=delivery.seed,
        tagging=tagging,
        is_final=delivery.is_final,
        is_corrected=delivery.is_final or delivery.month != RESTATED_MONTH,
    )
    if wanted is None:
        return shared.with_enterprise([_company(month)], month)
    month, company = _fit(month, wanted)
    return shared.with_enterprise(_filled(company, month, wanted), month)


def _filled(company: pl.DataFrame, month: Month, wanted: int) -> Iterator[pl.DataFrame]:
    yield company
    first, hours, discounted = company.height, hours_in(month.start), shared.enterprise(company)
    rest = tail.meters(month.seed, wanted - first - len(discounted), month.step, hours, discounted)
    while batch := list(islice(rest, max(1, _LINES_PER_BATCH * month.step // hours))):
        yield lines(batch, month, first)
        first += len(batch)


def _fit(month: Month, wanted: int) -> tuple[Month, pl.DataFrame]:
    """Choose the finest intervals whose lines are not too many; coarse ones are tried first, being the cheapest."""
    fitting = None
    for step in (hours_in(month.start), *_STEPS):
        month = replace(month, step=step)
        company = _company(month)
        needed = company.height + len(shared.enterprise(company))
        if needed > wanted:
            break
        fitting = month, company
    if fitting is None:
        raise ValueError(f"{month.start:%Y-%m} needs at least {needed:,} lines, not {wanted:,}")
    return fitting


def _company(month: Month) -> pl.DataFrame:
    index, seed = month.index, month.seed
    metered = [
        *compute.meters(seed, index),
        *capacity.meters(),
        *sagemaker.meters(index),
        *bedrock.meters(),
        *corporate.meters(seed),
        *shared.meters(index),
        *commitments.meters(month.start),
    ]
    billed = shared.rebate(lines(metered, month))
    return pl.concat([commitments.settle(billed), pods.split(billed, seed)], how="diagonal")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.sample", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to; bills/ and truth/ are made in it")
    parser.add_argument("--lines", type=int, help="lines of the three bills together (default: about 90,000)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another company of the same kind")
    parser.add_argument("--tagging", choices=("half", "none"), default="half", help="whether anybody tagged workloads")
    parser.add_argument("--no-gcp", action="store_true", help="leave out the company's Google Cloud bill, under gcp/")
    parser.add_argument("--no-gpu", action="store_true", help="leave out metrics and job records, under gpu/")
    parser.add_argument("--no-tokens", action="store_true", help="leave out logs of tokens and OpenAI's bill, tokens/")
    chosen = parser.parse_args(arguments)
    write_sample(
        chosen.out,
        seed=chosen.seed,
        lines=chosen.lines,
        tagging=chosen.tagging,
        gcp=not chosen.no_gcp,
        gpu=not chosen.no_gpu,
        tokens=not chosen.no_tokens,
    )


if __name__ == "__main__":
    main()
