"""The lines by which a bill divides a node among its pods or tasks: whose a part of an hour was, and what nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.attribution import attribute
from models.facts import KEY_COLUMNS
from models.gpu_hours_held import HOLDER, SPLIT
from models.workloads import Workload
from pipelines.warehouse.keys import spellings, tag_columns

if TYPE_CHECKING:
    import duckdb

    from pipelines.ledger.tables import Ledger
    from pipelines.warehouse.keys import Tagging

# The line of each machine that counts its hours says what kind of machine it is.
_NODES: Final = f"""
select
    machines.machine, keys.source, keys.billing_period, machines.resource_id,
    {", ".join(f"keys.{name}" for name in KEY_COLUMNS)}
from ledger.gpu_hours as hours
inner join gpu_keys as keys using (source, billing_period, key_id)
inner join gpu_machines as machines using (source, resource_id)
where hours.gpu_hours is not null
qualify row_number() over (partition by machines.machine, keys.billing_period order by keys.key) = 1
order by all
"""
_NAMESPACES: Final = ("tag:aws_eks_namespace", "tag:kubernetes_namespace", "tag:k8s_namespace", "tag:namespace")
# A cluster holds several workloads: it says what the node is for, and a pod's own names are nearer to the work.
_CLUSTERS: Final = (
    "tag:aws_eks_cluster_name",
    "tag:eks_cluster_name",
    "tag:aws_ecs_clustername",
    "tag:aws_ecs_cluster_name",
)
_UNSAID: Final = (Workload.UNATTRIBUTED, Workload.SHARED, Workload.NOT_AI)


def split_nodes(connection: duckdb.DuckDBPyConnection, ledger: Ledger, tagging: Tagging) -> pl.DataFrame:
    """Sum the lines that divide nodes with accelerators, per node, hour and whose they were (`SPLIT`)."""
    nodes = connection.sql(_NODES).pl()
    parts = [pl.DataFrame(schema=SPLIT)]
    for (source, period), partition in sorted(ledger.charges.partitions().items() if ledger.charges.exists() else ()):
        own = nodes.filter(pl.col("source") == source, pl.col("billing_period") == period)
        lines = ledger.charges.scan(partition.files).filter(pl.col("split_parent_resource_id").is_not_null())
        # Few bills have any, and only they pay for the search of tags.
        if own.is_empty() or not lines.select(pl.len()).collect(engine="streaming").item():
            continue
        parts.append(_told(_summed(lines, own, tagging), own, tagging, source))
    return pl.concat(parts).group_by("machine", "hour", *HOLDER, "evidence").agg(pl.all().sum()).select(*SPLIT)


def _summed(lines: pl.LazyFrame, nodes: pl.DataFrame, tagging: Tagging) -> pl.DataFrame:
    spelt = spellings(lambda query: query(lines).collect(engine="streaming"), tagging.relevant)
    return (
        lines.select(
            *tag_columns(spelt),
            resource_id="split_parent_resource_id",
            hour=pl.col("charge_period_start").dt.replace_time_zone(None).dt.truncate("1h"),
            used_cost=pl.col("split_cost").to_physical().cast(pl.Int128),
            unused_cost=pl.col("split_unused_cost").fill_null(0).to_physical().cast(pl.Int128),
        )
        .join(nodes.lazy().select("machine", "resource_id"), on="resource_id")
        .group_by("machine", "hour", *tagging.relevant)
        .agg(pl.col("used_cost").sum(), pl.col("unused_cost").sum())
        .collect(engine="streaming")
    )


def _told(summed: pl.DataFrame, nodes: pl.DataFrame, tagging: Tagging, source: str) -> pl.DataFrame:
    """Say whose each part is: rules read the node's machine with the pod's tags; what they leave open is the node's."""
    tags = tagging.relevant
    # An account is the node's as well: what it says of a team must not outweigh the node's own tag.
    kinds = nodes.select("machine", *KEY_COLUMNS).with_columns(sub_account_id=pl.lit(None, pl.String))
    pods = summed.select("machine", *tags).unique().join(kinds, on="machine")
    asked = pods.select(
        *KEY_COLUMNS, *(pl.lit(None, pl.String).alias(n) if n in _CLUSTERS else pl.col(n) for n in tags)
    )
    asked = pl.concat([pods.select("machine", pl.struct(tags).alias("own")), asked], how="horizontal")
    keys = asked.select(*KEY_COLUMNS, *tags).unique(maintain_order=True)
    found = attribute(keys, tagging.rulebook, tagging.dimensions, tagging.ai_scope, source)
    said = pl.col("workload").is_in(_UNSAID)
    names = [pl.col(name) for name in _NAMESPACES if name in tags]
    found = found.with_columns(
        pl.when(~said).then("workload").alias("workload"),
        pl.when(~said).then("evidence").alias("evidence"),
        namespace=pl.coalesce(*names, pl.lit(None, pl.String)),
        outcome=pl.lit(None, pl.String),
    )
    told = asked.join(found, on=[*KEY_COLUMNS, *tags], nulls_equal=True).select("machine", "own", *HOLDER, "evidence")
    return summed.with_columns(own=pl.struct(tags)).join(told, on=["machine", "own"], nulls_equal=True).select(*SPLIT)
