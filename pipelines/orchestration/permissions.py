"""The least permissions of each thing a configuration names: what `apportion doctor` prints where one fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.settings import SourceSettings

_BUCKET: Final = re.compile(r"s3://([^/]+)/?(.*)")
_A_FILE: Final = re.compile(r"\.\w+$")
CLOUDWATCH: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["cloudwatch:ListMetrics", "cloudwatch:GetMetricData"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": [
                "sagemaker:DescribeEndpoint",
                "sagemaker:DescribeEndpointConfig",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:DescribeTransformJob",
            ],
            "Resource": "*",
        },
    ],
}
INVOICES: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "invoicing:ListInvoiceSummaries", "Resource": "*"}],
}
_KEYS: Final = {
    "openai": "an admin key with `api.usage.read`; keys of projects cannot read usage or costs",
    "anthropic": "an Admin key (`sk-ant-admin…`); other keys cannot read usage or costs",
    "openrouter": "a management (provisioning) key; other keys cannot read activity",
    "litellm": "the address of the gateway and a key that may read spend logs, or files of them",
    "langfuse": "files of the export, and the right to read them",
    "prometheus": "the address of its HTTP API (the part before `/api/v1`) and, if it asks for one, a token that reads",
    "cloud_monitoring": "`roles/monitoring.viewer` on the project",
    "gcp_billing": (
        "`roles/bigquery.dataViewer` on the dataset of the export, and `roles/bigquery.jobUser` and "
        "`roles/bigquery.readSessionUser` on the project that pays for queries"
    ),
}


def of_source(source: SourceSettings) -> str:
    """Say what a source needs; where that is AWS's, as a policy to paste."""
    extra: dict[str, Any] = source.__pydantic_extra__ or {}
    where = str(extra.get("location", ""))
    if where.startswith("s3://"):
        return _policy(bucket(where, ["s3:GetObject"]))
    if where and source.type != "gcp_billing":
        return "It needs the right to read that folder or file; write the path relative to the configuration, or whole."
    if source.type == "cloudwatch":
        return _policy(CLOUDWATCH)
    if source.type in _KEYS:
        return f"It needs {_KEYS[source.type]}. Correct this entry of `sources`, or ask for that."
    return "Correct this entry of `sources`."


def of_ledger(root: str) -> str:
    """Say what a ledger needs."""
    if root.startswith("s3://"):
        return _policy(bucket(root, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]))
    return "Check `ledger`, `ledger_options` and your permissions there."


def of_invoices() -> str:
    """Say what asking AWS for its invoices needs."""
    return _policy(INVOICES)


def bucket(where: str, actions: Sequence[str]) -> dict[str, Any]:
    """Allow these actions on what is at an `s3://` address, and to list that and nothing else."""
    matched = _BUCKET.match(where)
    name, prefix = (matched[1], matched[2].rstrip("/")) if matched else ("", "")
    # A location may be one file; its own key is then what is listed and read.
    under = prefix if _A_FILE.search(prefix) else f"{prefix}/*" if prefix else "*"
    listing: dict[str, Any] = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{name}",
        "Condition": {"StringLike": {"s3:prefix": under}},
    }
    allowed = actions[0] if len(actions) == 1 else list(actions)
    objects = {"Effect": "Allow", "Action": allowed, "Resource": f"arn:aws:s3:::{name}/{under}"}
    return {"Version": "2012-10-17", "Statement": [listing, objects]}


def _policy(policy: dict[str, Any]) -> str:
    return f"It needs these permissions and no others:\n{json.dumps(policy, indent=2)}"
