"""The facts and their columns: what a connector must yield and what the ledger holds.

Names are FOCUS 1.4 columns in snake_case; those FOCUS lacks carry an `x_` prefix in a FOCUS export only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import polars as pl

from models.money import MONEY

DataType: TypeAlias = pl.DataType | type[pl.DataType]
Schema: TypeAlias = dict[str, DataType]

TAGS: Final = pl.Map(pl.String, pl.String)
INSTANT: Final = pl.Datetime("us", "UTC")


class Fact(StrEnum):
    """A kind of evidence, one ledger table each."""

    CHARGES = "charges"
    TOKEN_USAGE = "token_usage"  # noqa: S105 - tokens of a language model, not a secret
    GPU_UTILIZATION = "gpu_utilization"
    GPU_JOBS = "gpu_jobs"


@dataclass(frozen=True)
class Column:
    """A column's type and meaning; `required` ones are filled by every source on every row."""

    dtype: DataType
    meaning: str
    required: bool = False


# The grain is one line of a bill. Connectors leave out `source` and `billing_period`: they are the ledger's partition.
CHARGES: Final[Mapping[str, Column]] = {
    "usage_period": Column(
        pl.Date,
        "First day of the month of use; late usage and prepaid blocks differ from the invoice month.",
        required=True,
    ),
    "source_file": Column(
        pl.String, "Native file the line came from, relative to the source's location.", required=True
    ),
    "source_row": Column(pl.Int64, "Row in that file, 1 = first data row.", required=True),
    "provider_name": Column(pl.String, "FOCUS 1.4 ServiceProviderName, else ProviderName.", required=True),
    "publisher_name": Column(pl.String, "FOCUS before 1.4: who made what is sold; null where the bill does not say."),
    "invoice_issuer_name": Column(pl.String, "Who sends the invoice, for example AWS or AWS Marketplace."),
    "invoice_id": Column(pl.String, "Invoice number; null while the bill is open."),
    "billing_account_id": Column(pl.String, "Payer.", required=True),
    "billing_account_name": Column(pl.String, "Payer's name."),
    "sub_account_id": Column(pl.String, "Account, project or subscription that used it."),
    "sub_account_name": Column(pl.String, "Its name."),
    "billing_currency": Column(pl.String, "ISO 4217 code of the cost columns.", required=True),
    "charge_category": Column(pl.String, "FOCUS: Usage, Purchase, Tax, Credit or Adjustment.", required=True),
    "charge_class": Column(pl.String, "FOCUS: Correction where the line changes an earlier invoice."),
    "charge_frequency": Column(pl.String, "FOCUS: One-Time, Recurring or Usage-Based."),
    "charge_description": Column(pl.String, "The bill's own text."),
    "line_item_type": Column(pl.String, "The native kind of line, for example SavingsPlanCoveredUsage."),
    "charge_period_start": Column(INSTANT, "Start of use, UTC, inclusive.", required=True),
    "charge_period_end": Column(INSTANT, "End of use, UTC, exclusive.", required=True),
    "service_name": Column(pl.String, "Product name for people."),
    "service_code": Column(pl.String, "Product code for rules, for example AmazonSageMaker."),
    "service_category": Column(pl.String, "FOCUS: for example AI and Machine Learning; null where the bill has none."),
    "service_subcategory": Column(pl.String, "FOCUS: for example Generative AI; null where the bill has none."),
    "usage_type": Column(pl.String, "Native usage type or SKU text."),
    "operation": Column(pl.String, "Native operation, for example RunInstances."),
    "sku_id": Column(pl.String, "Native SKU."),
    "sku_price_id": Column(pl.String, "Native id of the SKU's price."),
    "instance_type": Column(pl.String, "Machine shape without service prefix, for example p5.48xlarge."),
    "region_id": Column(pl.String, "Region code."),
    "region_name": Column(pl.String, "Region for people."),
    "availability_zone": Column(pl.String, "Zone code."),
    "resource_id": Column(pl.String, "Native resource id or ARN."),
    "resource_name": Column(pl.String, "Name a person chose where the id carries one: bucket, endpoint, cluster."),
    "resource_type": Column(pl.String, "What the resource is, for example instance."),
    "pricing_category": Column(pl.String, "FOCUS: Standard, Dynamic (spot), Committed or Other."),
    "pricing_unit": Column(pl.String, "Unit of consumed_quantity, as the bill writes it."),
    "consumed_quantity": Column(
        MONEY, "Quantity on lines where it counts, null elsewhere (a negation repeats its usage)."
    ),
    "commitment_discount_id": Column(pl.String, "Savings Plan or reservation ARN."),
    "commitment_discount_category": Column(pl.String, "FOCUS: Spend or Usage."),
    "commitment_discount_type": Column(pl.String, "The provider's word, for example Savings Plan."),
    "commitment_discount_status": Column(pl.String, "FOCUS: Used or Unused."),
    "capacity_reservation_id": Column(pl.String, "On-demand capacity reservation or Capacity Block."),
    "capacity_reservation_status": Column(pl.String, "FOCUS: Used or Unused."),
    "tags": Column(TAGS, "Tags and labels as the bill writes them, keys included."),
    "cost_categories": Column(TAGS, "The bill's own cost categories."),
    "split_parent_resource_id": Column(
        pl.String, "Node whose cost this split-cost row repeats; such rows carry no money of their own."
    ),
    "split_cost": Column(MONEY, "The part of the node's effective cost this row stands for."),
    "split_unused_cost": Column(MONEY, "The unused part of the node's effective cost shared out to this row."),
    "billed_cost": Column(MONEY, "What the provider asks for (unblended), billing currency.", required=True),
    "effective_cost": Column(MONEY, "Amortized cost after negotiated discounts, billing currency.", required=True),
    "net_cost": Column(MONEY, "effective_cost after promotional credits, billing currency.", required=True),
    "list_cost": Column(MONEY, "Cost at public on-demand price; null where the bill does not say."),
    "contracted_cost": Column(MONEY, "FOCUS: cost at negotiated prices, before commitments; null where not said."),
}

COST_COLUMNS: Final = ("billed_cost", "effective_cost", "net_cost", "list_cost")

# What a rule may look at: one attribution per distinct combination and month of use. Of `tags` and `cost_categories`
# only the keys that rules and dimensions name enter, one text column each, named `tag:<name>` and
# `cost_category:<name>` with the normalized name (`models.dimensions.normalize`).
KEY_COLUMNS: Final = (
    "usage_period",
    "provider_name",
    "invoice_issuer_name",
    "billing_account_id",
    "sub_account_id",
    "charge_category",
    "charge_description",
    "line_item_type",
    "service_name",
    "service_code",
    "service_category",
    "service_subcategory",
    "usage_type",
    "operation",
    "instance_type",
    "resource_name",
    "pricing_category",
    "pricing_unit",
    "commitment_discount_status",
    "capacity_reservation_status",
)

FACTS: Final[Mapping[Fact, Mapping[str, Column]]] = {Fact.CHARGES: CHARGES}


def schema(columns: Mapping[str, Column]) -> Schema:
    """Give the polars schema of a fact."""
    return {name: column.dtype for name, column in columns.items()}


def declared(frame: pl.LazyFrame, columns: Mapping[str, Column]) -> pl.LazyFrame:
    """Check a frame against its fact's columns, where it is made, and put them in their order.

    Raises:
        TypeError: a required column is absent, a column is unknown, or a type differs. A programming error.
    """
    found = frame.collect_schema()
    absent = [name for name, column in columns.items() if column.required and name not in found]
    unknown = [name for name in found if name not in columns]
    wrong = [f"{name}: {found[name]}" for name in found if name in columns and found[name] != columns[name].dtype]
    if absent or unknown or wrong:
        raise TypeError(f"not the declared columns: absent {absent}, unknown {unknown}, of another type {wrong}")
    return frame.select([name for name in columns if name in found])
