"""The vocabulary of attribution: what money was for, how we know, and why it was idle."""

from __future__ import annotations

from enum import StrEnum


class Workload(StrEnum):
    """What a charge paid for. `idle_reason` is separate: idle training capacity is still `training` or unattributed."""

    TRAINING = "training"
    FINE_TUNING = "fine_tuning"
    INFERENCE = "inference"
    STORAGE = "storage"  # AI storage only: other storage is `not_ai`
    DEVELOPMENT = "development"  # notebooks, evaluation, data preparation
    UNATTRIBUTED = "unattributed"  # AI money whose purpose the bill does not tell
    SHARED = "shared"  # tax, support, credits, commitment fees: allocated, not owned
    NOT_AI = "not_ai"


class Evidence(StrEnum):
    """How the workload is known, strongest first."""

    DECLARED = "declared"  # the team's own tag or rule says so
    BILLED = "billed"  # the SKU itself says so
    MEASURED = "measured"  # job records, tokens, metrics
    INFERRED = "inferred"  # cluster, resource or job names; neighboring SKUs
    NONE = "none"


class IdleReason(StrEnum):
    """Why accelerator money did nothing. Null means measured busy; `unmeasured` means nobody looked."""

    UNUSED_RESERVATION = "unused_reservation"
    UNUSED_COMMITMENT = "unused_commitment"
    UNALLOCATED = "unallocated"
    WARM_POOL = "warm_pool"
    UNUSED_THROUGHPUT = "unused_throughput"
    IDLE = "idle"
    UNDERUTILIZED = "underutilized"
    UNMEASURED = "unmeasured"
