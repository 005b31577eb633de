"""The tables of accelerators: what metrics and job records say of them, and what that makes of billed money."""

from __future__ import annotations

from typing import Final

_MONEY: Final = "decimal(38, 12)"
_MACHINE: Final = {
    "charge_source": ("varchar", "Name of the source whose bill has the machine; null where none has."),
    "resource_id": ("varchar", "Machine, endpoint or job as that bill names it; null where no bill has it."),
    "named_id": ("varchar", "Its id as this record writes it."),
    "named": ("varchar", "Its name as this record writes it."),
    "match": ("varchar", "matched, ambiguous (several billed machines have that name) or on_no_bill."),
}
_FOUND_IN: Final = {
    "source": ("varchar", "Name of the source in the configuration."),
    "billing_period": ("date", "First day of the month of use."),
}

GPU_TABLES: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "ledger.gpu_utilization_hourly": (
        "What metrics say of machines. One row per source, machine as the source names it, pod and hour.",
        {
            **_FOUND_IN,
            **_MACHINE,
            "usage_hour": ("timestamp", "Start of the hour, UTC."),
            "pod": ("varchar", "Pod that held the devices, where the metric says it."),
            "counts_as": (
                "varchar",
                "counted; superseded: another source says more of the hour; unmatched; not_billed: no billed hour.",
            ),
            "devices": ("bigint", "Devices, or averages of several, in the hour."),
            "measured_hours": ("double", "Accelerator-hours measured."),
            "busy_hours": ("double", "The part of them in which they were busy, also below the limit of idle."),
            "idle_hours": ("double", "Accelerator-hours of devices below the limit of idle, whole."),
            "memory_hours": ("double", "Accelerator-hours × share of memory in use; null where not measured."),
            "invocations": ("double", "Requests, where the source counts them."),
            "samples": ("bigint", "Samples."),
        },
    ),
    "ledger.gpu_jobs": (
        "Who held accelerators. One row per job or pod, machine and month.",
        {
            **_FOUND_IN,
            **_MACHINE,
            "job_id": ("varchar", "Job, run or pod."),
            "job_name": ("varchar", "Its name."),
            "started_at": ("timestamp", "When it took the accelerators, UTC, in this month."),
            "ended_at": ("timestamp", "When it gave them back; null while it runs."),
            "accelerator_count": ("double", "Accelerators held on the machine."),
            "workload": ("varchar", "Where the record says it."),
            "llm_model": ("varchar", "Where the record says it."),
            "team": ("varchar", "Where the record says it."),
            "user_id": ("varchar", "Who submitted it."),
            "project": ("varchar", "Project or experiment."),
            "cluster": ("varchar", "Cluster."),
            "namespace": ("varchar", "Namespace or partition."),
            "owner": ("varchar", "Controller of a pod, or a queue."),
            "outcome": ("varchar", "completed, failed, preempted, cancelled or running."),
        },
    ),
    "computed.gpu_allocations": (
        "Accelerator rows divided by what metrics and job records say. One row per daily row and part; they sum to it.",
        {
            "source": ("varchar", "Name of the bill's source in the configuration."),
            "billing_period": ("date", "First day of the invoice month."),
            "daily_id": ("bigint", "Row of ledger.charges_daily that is divided."),
            "part": ("integer", "1, 2, …"),
            "workload": ("varchar", "What the part was for."),
            "evidence": ("varchar", "How we know: measured where a job's record says it."),
            "llm_model": ("varchar", "Language model."),
            "accelerator": ("varchar", "Accelerator of the machine."),
            "idle_reason": (
                "varchar",
                "What of the time did nothing, unmeasured where nobody looked; null where busy or no accelerator.",
            ),
            "team": ("varchar", "Of the job that held it, else of the bill."),
            "environment": ("varchar", "Resolved by `dimensions.environment`."),
            "project": ("varchar", "Of the job, else of the bill."),
            "customer": ("varchar", "Resolved by `dimensions.customer`."),
            "namespace": ("varchar", "Kubernetes namespace or Slurm partition of the holder."),
            "outcome": ("varchar", "How the holder's jobs ended: completed, failed, preempted, cancelled, running."),
            "is_busy": ("boolean", "Metrics found it busy."),
            "method": ("varchar", "How it was divided."),
            "gpu_hours": (_MONEY, "Accelerator-hours of the part; null where the row counts none."),
            "billed_cost": (_MONEY, "What the provider asks for (unblended), reporting currency."),
            "effective_cost": (_MONEY, "Amortized cost after negotiated discounts, reporting currency."),
            "net_cost": (_MONEY, "effective_cost after promotional credits, reporting currency."),
            "list_cost": (_MONEY, "Cost at public on-demand price; null where the bill does not say."),
        },
    ),
    "reference.accelerators": (
        "The catalogue of accelerator shapes, with the team's own. One row per machine shape.",
        {
            "instance_type": ("varchar", "Machine shape."),
            "accelerator": ("varchar", "Accelerator."),
            "generation": ("varchar", "Its architecture."),
            "count": (_MONEY, "Accelerators per machine (chips of a TPU slice's machine); fractions exist."),
            "memory_mib": ("bigint", "Memory of one accelerator; null where not known."),
            "kind": ("varchar", "gpu, tpu, neuron, gaudi, inference, fpga or media."),
            "source_url": ("varchar", "Where it is documented."),
            "checked_on": ("date", "When that was last read; null: never."),
        },
    ),
    "reference.idle": (
        "What counts as idle, from the configuration. One row.",
        {
            "idle_below": ("double", "Busy fraction below which an hour of an accelerator is idle."),
            "idle_hours": ("bigint", "For how many hours in a row."),
            "grace_hours": ("bigint", "Hours after a start that are never idle."),
            "headroom": ("double", "Part of a smaller machine that must stay free."),
        },
    ),
}
