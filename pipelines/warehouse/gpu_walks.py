"""Where the figures of marts about accelerators come from: money from daily rows, hours from machines' days."""

from __future__ import annotations

from typing import Final

from pipelines.warehouse.walks import CHARGES, Walk

_ACCELERATORS: Final = f"""
select * replace (if(is_busy, null, coalesce(idle_reason, 'unmeasured')) as idle_reason)
from ({CHARGES}) where accelerator is not null
"""
_HOURS: Final = "select * from intermediate.int_accelerator_costs"
_BOUGHT: Final = """
select * from ({rows}) inner join intermediate.int_purchase_options using (source, billing_period, key_id)
"""
_STEPS: Final = "select *, 'machines' as capacity, coalesce(idle_reason, 'busy') as step from ({rows})"
_IDLE: Final = "('idle', 'unallocated', 'unused_reservation', 'warm_pool')"
_MACHINES: Final = ("usage_period", "provider_name", "accelerator")

GPU_WALKS: Final[dict[str, tuple[Walk, ...]]] = {
    "gpu_idle_costs": (
        Walk(("effective_cost",), (*_MACHINES, "workload", "idle_reason"), _ACCELERATORS),
        Walk(("gpu_hours",), (*_MACHINES, "workload", "idle_reason"), _HOURS),
    ),
    "gpu_idle_waterfall": (
        Walk(
            ("effective_cost",),
            ("usage_period", "provider_name", "capacity", "step"),
            f"""
            {_STEPS.format(rows=_ACCELERATORS)}
            union all by name
            select *, 'provisioned_throughput' as capacity, idle_reason as step
            from intermediate.int_provisioned_throughput
            """,
        ),
        Walk(("gpu_hours",), ("usage_period", "provider_name", "capacity", "step"), _STEPS.format(rows=_HOURS)),
    ),
    "gpu_utilization_by_workload": (
        Walk(("effective_cost",), (*_MACHINES, "workload"), _ACCELERATORS),
        Walk(
            (
                "gpu_hours",
                "measured_hours",
                "busy_hours",
                "underutilized_hours",
                "idle_hours",
                "unallocated_hours",
                "unmeasured_hours",
                "lost_hours",
            ),
            (*_MACHINES, "workload"),
            f"""
            select *,
                if(idle_reason is null or idle_reason in ('underutilized', 'idle'), gpu_hours, 0) as measured_hours,
                if(idle_reason is null, gpu_hours, 0) as busy_hours,
                if(idle_reason = 'underutilized', gpu_hours, 0) as underutilized_hours,
                if(idle_reason = 'idle', gpu_hours, 0) as idle_hours,
                if(idle_reason = 'unallocated', gpu_hours, 0) as unallocated_hours,
                if(idle_reason = 'unmeasured', gpu_hours, 0) as unmeasured_hours,
                if(outcome in ('failed', 'preempted'), gpu_hours, 0) as lost_hours
            from ({_HOURS})
            """,
        ),
    ),
    "gpu_hour_rates": (
        Walk(("effective_cost",), (*_MACHINES, "purchase_option"), _BOUGHT.format(rows=_ACCELERATORS)),
        Walk(("gpu_hours",), (*_MACHINES, "purchase_option"), _BOUGHT.format(rows=_HOURS)),
    ),
    "what_if_fleet": (
        Walk(
            ("actual_cost",),
            _MACHINES,
            f"select *, effective_cost as actual_cost from ({_BOUGHT.format(rows=_ACCELERATORS)}) "
            "where purchase_option = 'on_demand'",
        ),
        Walk(
            ("gpu_hours",),
            _MACHINES,
            f"select * from ({_BOUGHT.format(rows=_HOURS)}) where purchase_option = 'on_demand'",
        ),
    ),
    "what_if_serverless": (
        Walk(
            ("actual_cost",),
            _MACHINES,
            f"select *, effective_cost as actual_cost from ({_ACCELERATORS}) where workload = 'inference'",
        ),
        Walk(("gpu_hours",), _MACHINES, f"select * from ({_HOURS}) where workload = 'inference'"),
    ),
    "what_if_idle_stopped": (
        Walk(
            ("actual_cost",),
            (*_MACHINES, "workload", "team", "idle_reason"),
            f"""
            select *, effective_cost as actual_cost
            from ({CHARGES}) where workload not in ('not_ai', 'shared') and charge_category = 'Usage'
            """,
        ),
    ),
    "idle_resources": (
        Walk(
            ("effective_cost", "idle_cost"),
            ("usage_period", "source", "provider_name", "resource_id"),
            f"select *, if(idle_reason in {_IDLE}, effective_cost, 0) as idle_cost from ({_ACCELERATORS})",
        ),
        Walk(("gpu_hours",), ("usage_period", "source", "provider_name", "resource_id"), _HOURS),
    ),
    "right_sizing": (Walk(("effective_cost",), ("usage_period", "source", "resource_id"), _ACCELERATORS),),
}
