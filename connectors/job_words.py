"""The words of schedulers and trackers for what a job was for and how it ended, as `GPU_JOBS` writes them."""

from __future__ import annotations

from typing import Final

from models.workloads import Workload

WORKLOADS: Final = (Workload.TRAINING, Workload.FINE_TUNING, Workload.INFERENCE, Workload.DEVELOPMENT)
# Slurm, Kubernetes, Kueue, Ray, MLflow and Weights & Biases.
OUTCOMES: Final = {
    "completed": ("completed", "succeeded", "success", "finished", "complete", "done"),
    "failed": ("failed", "error", "crashed", "timeout", "node_fail", "out_of_memory", "boot_fail", "deadline"),
    "preempted": ("preempted", "evicted", "requeued", "resizing"),
    "cancelled": ("cancelled", "canceled", "killed", "stopped", "revoked"),
    "running": ("running", "suspended", "completing", "admitted", "active", "stopping", "requeue_hold", "pausing"),
}
WAITING: Final = ("pending", "queued", "scheduled", "configuring", "inadmissible")
OUTCOME_OF: Final = {word: outcome for outcome, words in OUTCOMES.items() for word in words}


def workload_of(text: str | None) -> str | None:
    """Read one of the four words, however it is cased and joined; None for anything else."""
    word = (text or "").strip().lower().replace("-", "_").replace(" ", "_").replace("finetuning", "fine_tuning")
    return word if word in set(WORKLOADS) else None
