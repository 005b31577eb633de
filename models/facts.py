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
    "line_count": Column(
        pl.Int64, "Lines of the bill that this row stands for, where they were added up before they came; null is one."
    ),
    "provider_name": Column(pl.String, "FOCUS 1.4 ServiceProviderName, else ProviderName.", required=True),
    "publisher_name": Column(pl.String, "FOCUS before 1.4: who made what is sold; null where the bill does not say."),
    "invoice_issuer_name": Column(pl.String, "Who sends the invoice, for example AWS or AWS Marketplace."),
    "invoice_id": Column(pl.String, "Invoice number; null while the bill is open."),
    "billing_account_id": Column(pl.String, "Payer.", required=True),
    "billing_account_name": Column(pl.String, "Payer's name."),
    "sub_account_id": Column(pl.String, "Account, project or subscription that used it."),
    "sub_account_name": Column(pl.String, "Its name."),
    "billing_currency": Column(pl.String, "ISO 4217 code of the cost columns.", required=True),
    "currency_conversion_rate": Column(
        MONEY,
        "Units of billing_currency to one US dollar, where the bill is in another currency and states it.",
    ),
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

# What every usage fact says first: where the row came from.
_ORIGIN: Final[Mapping[str, Column]] = {
    "source_file": CHARGES["source_file"],
    "source_row": Column(pl.Int64, "Row, line or item in that file, 1 = first.", required=True),
}

# The grain is one request, or one bucket of a usage report. Usage never adds money: it divides billed dollars.
TOKEN_USAGE: Final[Mapping[str, Column]] = {
    **_ORIGIN,
    "usage_start": Column(INSTANT, "Time of the request, or start of the bucket, UTC, inclusive.", required=True),
    "usage_end": Column(INSTANT, "The same instant for one request, else end of the bucket, exclusive.", required=True),
    "provider_name": Column(
        pl.String, "Who serves and bills it, as charges name it: OpenAI, Anthropic, AWS, Google Cloud …", required=True
    ),
    "reported_by": Column(
        pl.String, "Kind of record: usage_api, invocation_log, gateway, trace, metric or file.", required=True
    ),
    "request_id": Column(pl.String, "The provider's or gateway's id of one request; null in buckets."),
    "operation": Column(pl.String, "OpenTelemetry gen_ai.operation.name: chat, embeddings, image_generation …"),
    "llm_model_id": Column(pl.String, "Model id, ARN or deployment name as the source writes it."),
    "requests": Column(pl.Int64, "Requests in the row; null where the source does not count them."),
    "uncached_input_tokens": Column(pl.Int64, "Input tokens neither read from nor written to a prompt cache."),
    "cache_read_tokens": Column(pl.Int64, "Input tokens read from a prompt cache; disjoint from the others."),
    "cache_write_5m_tokens": Column(
        pl.Int64, "Input tokens written to a prompt cache for five minutes, or for a time not stated; disjoint."
    ),
    "cache_write_1h_tokens": Column(pl.Int64, "Input tokens written to a prompt cache for an hour; disjoint."),
    "output_tokens": Column(pl.Int64, "Output tokens, reasoning included exactly once."),
    "reasoning_tokens": Column(pl.Int64, "The part of output_tokens spent on reasoning."),
    "input_audio_tokens": Column(pl.Int64, "The part of the input buckets that is audio; priced apart by some."),
    "output_audio_tokens": Column(pl.Int64, "The part of output_tokens that is audio."),
    "unit": Column(pl.String, "Unit of what is not billed in tokens: images, seconds, characters, searches …"),
    "quantity": Column(MONEY, "Amount in that unit."),
    "is_batch": Column(pl.Boolean, "Ran as a batch; a flag of its own, because batches report the default tier."),
    "service_tier": Column(pl.String, "Tier of the response, for example default, flex, priority, scale."),
    "context_band": Column(pl.String, "Band of input length that the provider's bucket states, for example 0-200k."),
    "project_id": Column(pl.String, "Provider's project."),
    "project_name": Column(pl.String, "Its name."),
    "workspace_id": Column(pl.String, "Provider's workspace or organization unit."),
    "workspace_name": Column(pl.String, "Its name."),
    "sub_account_id": Column(pl.String, "Cloud account or project that called, as charges name it."),
    "region_id": Column(pl.String, "Region code."),
    "endpoint": Column(pl.String, "Endpoint, deployment or ARN that served it; joins self-hosted fleets."),
    "team": Column(pl.String, "Team as the gateway or log says."),
    "api_key_id": Column(pl.String, "Key id or alias, never the key."),
    "user_id": Column(pl.String, "User as the source says."),
    "feature": Column(pl.String, "Feature or application tag where the log has one."),
    "tags": Column(TAGS, "Other tags and metadata of the record, as written."),
    "workload": Column(pl.String, "Only where the record itself says it: trained tokens are fine_tuning."),
    "response_cache_hit": Column(
        pl.Boolean, "The gateway answered from its own response cache: no tokens were bought."
    ),
    "outcome": Column(pl.String, "success or failure; null where not said."),
    "reported_cost": Column(MONEY, "What the log itself reckons it cost: a comparison, never money."),
    "reported_currency": Column(pl.String, "Currency of reported_cost."),
}

# The grain is one device (or a whole resource) and hour.
GPU_UTILIZATION: Final[Mapping[str, Column]] = {
    **_ORIGIN,
    "hour": Column(INSTANT, "Start of the hour, UTC.", required=True),
    "resource_kind": Column(pl.String, "instance, node, endpoint, job or tpu: what the resource is.", required=True),
    "resource_id": Column(pl.String, "Id as charges name it: instance id, ARN, machine name; null where only named."),
    "resource_name": Column(pl.String, "Name: node, endpoint or job."),
    "sub_account_id": Column(pl.String, "Account or project, where the metric says it."),
    "region_id": Column(pl.String, "Region or zone, where the metric says it."),
    "device": Column(pl.String, "GPU UUID or index, MIG instance included; null where averaged over the resource."),
    "device_share": Column(pl.Float64, "Part of a whole accelerator the device is: 1, or a MIG slice's fraction."),
    "device_count": Column(pl.Int64, "Devices the value is averaged over."),
    "accelerator": Column(pl.String, "Accelerator as the metric names it."),
    "busy_fraction": Column(
        pl.Float64, "Mean share of the measured time that the device was busy, 0 to 1.", required=True
    ),
    "memory_fraction": Column(pl.Float64, "Mean share of device memory in use, 0 to 1."),
    "tensor_fraction": Column(pl.Float64, "Mean share of time that tensor cores were active, 0 to 1."),
    "measured_seconds": Column(pl.Int64, "Seconds of the hour that samples stand for, at most 3600.", required=True),
    "sample_count": Column(pl.Int64, "Samples in the hour."),
    "metric": Column(pl.String, "Series the busy fraction comes from.", required=True),
    "cluster": Column(pl.String, "Cluster."),
    "namespace": Column(pl.String, "Kubernetes namespace of the holder."),
    "pod": Column(pl.String, "Pod that held the device."),
    "invocations": Column(pl.Float64, "Requests in the hour, where the source counts them."),
    "requests_running": Column(pl.Float64, "Mean requests in work at an inference server."),
    "requests_waiting": Column(pl.Float64, "Mean requests queued at an inference server."),
}

# The grain is one job or pod on one resource.
GPU_JOBS: Final[Mapping[str, Column]] = {
    **_ORIGIN,
    "job_id": Column(pl.String, "Job, run or pod id; the same on each resource it held.", required=True),
    "job_name": Column(pl.String, "Its name."),
    "resource_id": Column(pl.String, "Machine as charges name it: instance id or machine name."),
    "resource_name": Column(pl.String, "Node name."),
    "started_at": Column(INSTANT, "When it took the accelerators, UTC.", required=True),
    "ended_at": Column(INSTANT, "When it gave them back; null while it runs."),
    "accelerator_count": Column(pl.Float64, "Accelerators held on the resource.", required=True),
    "accelerator": Column(pl.String, "Accelerator as the source names it."),
    "workload": Column(pl.String, "training, fine_tuning, inference or development, where the record says it."),
    "llm_model": Column(pl.String, "Model trained or served, where the record says it."),
    "team": Column(pl.String, "Team, Slurm account or namespace's owner, where the record says it."),
    "user_id": Column(pl.String, "Who submitted it."),
    "project_id": Column(pl.String, "Project or experiment."),
    "cluster": Column(pl.String, "Cluster."),
    "namespace": Column(pl.String, "Kubernetes namespace or Slurm partition."),
    "owner": Column(pl.String, "Controller of a pod: Job/…, Deployment/…; or a queue."),
    "outcome": Column(pl.String, "completed, failed, preempted, cancelled or running."),
    "tags": Column(TAGS, "Labels and metadata, as written."),
}

FACTS: Final[Mapping[Fact, Mapping[str, Column]]] = {
    Fact.CHARGES: CHARGES,
    Fact.TOKEN_USAGE: TOKEN_USAGE,
    Fact.GPU_UTILIZATION: GPU_UTILIZATION,
    Fact.GPU_JOBS: GPU_JOBS,
}


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
