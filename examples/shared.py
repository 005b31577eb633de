"""What belongs to everybody: support, tax, credits, refunds and discounts, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import starmap
from typing import Final, NamedTuple

import polars as pl

from examples.bill import ENTERPRISE, Month
from examples.bill import lines as billed
from examples.company import PAYER
from examples.meters import BEDROCK, CLOUDFRONT, EC2, RDS, S3, SAGEMAKER, Meter, Product

_SAAS: Final = Product(
    "4kq8z0c1v7m3x9b5n2j6h8g0f", "Lighthouse Observability Pro", "", discounted=False, entity="AWS Marketplace"
)
_SUPPORT: Final = Product("AWSSupportEnterprise", "AWS Support (Enterprise)", "AWSSupportEnterprise", discounted=False)
_SHIELD_REBATE: Final = 612.5
"""The bundled discount: CloudFront traffic that the Shield subscription includes."""


class _Once(NamedTuple):
    line_type: str
    product: Product
    account: str
    amount: float
    description: str
    usage_type: str = ""
    is_late: bool = False
    months: tuple[int, ...] = (0, 1, 2)


# fmt: off
_SHARED: Final = (
    _Once("Fee", _SUPPORT, PAYER, 41_250.0, "Enterprise Support for the month", "Dollar", is_late=True),
    _Once("Credit", EC2, "research-training", -12_000.0, "AWS_Activate_Promo_ML", "BoxUsage:p5.48xlarge"),
    _Once("Credit", SAGEMAKER, "applied-ml", -2_150.75, "Credit for a failed training job"),
    _Once("Refund", EC2, "inference-prod", -3_302.4, "Refund of 60 hours of unreachable p5.48xlarge",
          "BoxUsage:p5.48xlarge", is_late=True, months=(1,)),
    _Once("Tax", EC2, PAYER, 5_128.4417, "Tax for product code AmazonEC2"),
    _Once("Tax", SAGEMAKER, PAYER, 1_911.0832, "Tax for product code AmazonSageMaker"),
    _Once("Tax", BEDROCK, PAYER, 1_204.5519, "Tax for product code AmazonBedrock"),
    _Once("Tax", S3, PAYER, 402.1158, "Tax for product code AmazonS3"),
    _Once("Tax", RDS, PAYER, 377.9027, "Tax for product code AmazonRDS"),
)
# fmt: on


def meters(index: int) -> Iterator[Meter]:
    """Meter what belongs to everybody in the `index`-th month, one line each, and the two lines that only look so."""
    for once in _SHARED:
        if min(index, 2) in once.months:
            yield Meter(
                account=once.account,
                product=once.product._replace(discounted=False),
                usage_type=once.usage_type,
                description=once.description,
                rate=once.amount,
                unit="",
                line_type=once.line_type,
                shape="once",
                grain="month",
                is_late=once.is_late,
                extra={"line_item_tax_type": "USSalesTax"} if once.line_type == "Tax" else {},
                workload="shared",
            )
    yield _not_ai("Fee", _SAAS, "corp-it", 18_400.0, "Lighthouse Observability Pro, monthly contract")
    yield _not_ai(
        "BundledDiscount",
        CLOUDFRONT._replace(discounted=False),
        "platform",
        -_SHIELD_REBATE,
        "Bundled discount: data transfer included with Shield Advanced",
    )


def _not_ai(line_type: str, product: Product, account: str, amount: float, description: str) -> Meter:
    return Meter(
        account=account,
        product=product,
        usage_type="US-DataTransfer-Out-Bytes" if product.code == CLOUDFRONT.code else "MP:USE1_Contract-Units",
        description=description,
        rate=amount,
        unit="",
        line_type=line_type,
        shape="once",
        grain="month",
        workload="not_ai",
        team="platform",
    )


def rebate(lines: pl.DataFrame) -> pl.DataFrame:
    """Write the bundled discount into the usage it discounts, where the net columns read it from."""
    cost = pl.col("line_item_unblended_cost")
    is_rebated = (pl.col("line_item_line_item_type") == "Usage") & (
        pl.col("line_item_usage_type") == "US-DataTransfer-Out-Bytes"
    )
    share = cost / cost.filter(is_rebated).sum()
    return lines.with_columns(
        discount_bundled_discount=pl.when(is_rebated).then(-_SHIELD_REBATE * share).otherwise(0.0)
    )


def enterprise(lines: pl.DataFrame) -> dict[tuple[str, Product], float]:
    """Sum the enterprise discount inside some lines, per account and product."""
    account, code = "line_item_usage_account_name", "line_item_product_code"
    sums = (
        lines.filter(ENTERPRISE != 0)
        .group_by(account, code, maintain_order=True)
        .agg(pl.col("product", "product_servicecode").first(), ENTERPRISE.sum().alias("amount"))
        .select(account, code, pl.col("product").map.get("product_name"), "product_servicecode", "amount")
    )
    return {(owner, Product(*product)): amount for owner, *product, amount in sums.iter_rows()}


def with_enterprise(frames: Iterable[pl.DataFrame], month: Month) -> Iterator[pl.DataFrame]:
    """Pass a month's lines on; after them comes their enterprise discount, a line per account and product."""
    sums: dict[tuple[str, Product], float] = {}
    for frame in frames:
        yield frame
        for key, amount in enterprise(frame).items():
            sums[key] = sums.get(key, 0.0) + amount
    yield billed(starmap(_enterprise, sums.items()), month)


def _enterprise(owner: tuple[str, Product], amount: float) -> Meter:
    account, product = owner
    return Meter(
        account=account,
        product=product._replace(discounted=False),
        usage_type="",
        description="Enterprise Program Discount",
        rate=amount,
        unit="",
        region="",
        line_type="EdpDiscount",
        shape="once",
        grain="month",
        workload="shared",
        is_evident=False,
    )
