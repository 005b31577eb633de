"""What the documentation and `apportion doctor` say a source needs is enough, and no action of it is to spare.

moto asks IAM for each request here, as AWS would. It does not know `s3:prefix`: that condition is compared with what
was asked for.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

import boto3
import pytest

from connectors.source import CONNECTORS
from pipelines.orchestration import permissions
from pipelines.orchestration.doctor import Finding, examine
from pipelines.settings import Settings, SourceSettings
from tests.pipelines.conftest import Company
from tests.pipelines.orchestration.moto_process import moto_process

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).parents[3]
ACCOUNT = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
# Where documents and the sample's manifests say bills are.
PLACES = {"acme-billing": "meridian-billing", "exports/prod": "exports"}


def policies(page: str) -> list[dict[str, Any]]:
    """Give the policies in a document, for the bucket of the sample."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [block for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"Statement"' in block]
    for there, here in PLACES.items():
        found = [block.replace(there, here) for block in found]
    return [json.loads(block) for block in found]


def without_condition(policy: dict[str, Any]) -> dict[str, Any]:
    return {
        **policy,
        "Statement": [
            {name: value for name, value in statement.items() if name != "Condition"}
            for statement in policy["Statement"]
        ],
    }


@dataclass(frozen=True)
class Aws:
    """A server, whose IAM is asked once a user has been made."""

    url: str
    log: Path

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.url, **ACCOUNT)  # type: ignore[call-overload]

    def authorize(self, after: str) -> None:
        """Have IAM asked after so many more requests."""
        plain = {"Content-Type": "text/plain"}  # a form would be read as one
        request = Request(f"{self.url}/moto-api/reset-auth", after.encode(), plain)  # noqa: S310 - our own loopback
        with urlopen(request):  # noqa: S310 - likewise
            pass

    def prefixes(self) -> set[str]:
        """Give every prefix that was listed."""
        return set(re.findall(r"[?&]prefix=([^& ]*)", unquote(self.log.read_text())))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    log = tmp_path_factory.mktemp("moto") / "requests.log"
    with moto_process(log) as url:
        server = Aws(url, log)
        s3 = server.client("s3")
        for bucket in ("meridian-billing", "acme-apportion"):
            s3.create_bucket(Bucket=bucket)
        bills = Company(tmp_path_factory.mktemp("bills")).bill(deliveries=1).folder / "bills"
        for path in sorted(path for path in bills.rglob("*") if path.is_file()):
            s3.upload_file(str(path), "meridian-billing", f"exports/{path.relative_to(bills)}")
        yield server


@pytest.fixture
def allowed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Become a user who is allowed only what a policy says."""
    iam = aws.client("iam")
    made: list[str] = []

    def become(policy: dict[str, Any]) -> None:
        aws.authorize("inf")
        name = f"reader-{len(made)}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="least", PolicyDocument=json.dumps(without_condition(policy)))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        made.append(key["AccessKeyId"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        aws.authorize("0")

    yield become
    aws.authorize("inf")
    for number, key_id in enumerate(made):
        iam.delete_access_key(UserName=f"reader-{number}", AccessKeyId=key_id)
        iam.delete_user_policy(UserName=f"reader-{number}", PolicyName="least")
        iam.delete_user(UserName=f"reader-{number}")


def bills_of(aws: Aws, folder: Path, **changed: Any) -> Company:
    source = {"name": "aws", "type": "aws_cur", "location": "s3://meridian-billing/exports", "endpoint_url": aws.url}
    return Company(folder).configure(sources=[source], **changed)


def tried(company: Company) -> Finding:
    (found,) = [finding for finding in examine(company.settings) if finding.what.startswith("source aws")]
    return found


def doctored(aws: Aws, folder: Path) -> dict[str, Any]:
    """Give the policy that `doctor` prints for the bills."""
    (source,) = bills_of(aws, folder).settings.sources
    policy: dict[str, Any] = json.loads(permissions.of_source(source).partition("\n")[2])
    return policy


@pytest.mark.parametrize("page", ["README.md", "connectors/README.md", "docs/security.md", "doctor"])
def test_what_is_said_to_be_enough_to_read_bills_is_enough(aws: Aws, allowed: Any, tmp_path: Path, page: str) -> None:
    policy = doctored(aws, tmp_path) if page == "doctor" else policies(page)[0]
    allowed(policy)
    found = tried(bills_of(aws, tmp_path))
    assert found.works, found
    assert "2 months, the newest 2026-08" in found.found
    assert re.search(r"[\d,]+ lines, [\d,.]+ billed in its files", found.found)
    (listing,) = [
        statement
        for statement in policy["Statement"]
        if statement["Action"] == "s3:ListBucket" and statement["Resource"].endswith("meridian-billing")
    ]
    pattern = listing["Condition"]["StringLike"]["s3:prefix"]
    assert aws.prefixes()
    assert [
        prefix for prefix in aws.prefixes() if "apportion" not in prefix and not fnmatch.fnmatch(prefix, pattern)
    ] == []


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject"])
def test_without_any_of_it_doctor_fails_and_says_what_is_missing(
    aws: Aws, allowed: Any, tmp_path: Path, action: str
) -> None:
    policy = doctored(aws, tmp_path)
    less = deepcopy(policy)
    less["Statement"] = [statement for statement in policy["Statement"] if action not in statement["Action"]]
    allowed(less)
    company = bills_of(aws, tmp_path)
    assert not tried(company).works
    answer = company.apportion("doctor")
    assert answer.status == 1, answer
    assert "AccessDenied" in answer.out
    said = re.sub(r"^ {7}", "", answer.out, flags=re.MULTILINE)
    assert json.dumps(policy, indent=2) in said


def test_what_is_said_to_be_enough_for_a_ledger_on_s3_is_enough(aws: Aws, allowed: Any, tmp_path: Path) -> None:
    allowed(policies("docs/security.md")[0])
    options = {"aws_endpoint_url": aws.url, "aws_allow_http": "true", "aws_region": "us-east-1"}
    company = bills_of(aws, tmp_path, ledger="s3://acme-apportion/ledger", ledger_options=options)
    company.run()
    assert company.ledger.current_loads().height == 2
    ours = permissions.bucket("s3://acme-apportion/ledger", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
    documented = [part for part in policies("docs/security.md")[0]["Statement"] if "Ledger" in part["Sid"]]
    plain = [{name: part[name] for name in ("Effect", "Action", "Resource")} for part in documented]
    assert plain == [{name: part[name] for name in ("Effect", "Action", "Resource")} for part in ours["Statement"]]


def test_what_is_said_to_be_enough_to_ask_for_metrics_is_enough(aws: Aws, allowed: Any, tmp_path: Path) -> None:
    documented = policies("docs/security.md")[1]
    said = [{name: part[name] for name in ("Effect", "Action", "Resource")} for part in documented["Statement"]]
    assert said == [*permissions.INVOICES["Statement"], *permissions.CLOUDWATCH["Statement"]]
    source = {"name": "aws", "type": "cloudwatch", "regions": ["us-east-1"], "endpoint_url": aws.url}
    company = Company(tmp_path).configure(sources=[source])
    allowed(documented)
    assert "AccessDenied" not in tried(company).found
    allowed({**documented, "Statement": documented["Statement"][:1]})
    refused = tried(company)
    assert not refused.works
    assert json.loads(refused.fix.partition("\n")[2]) == permissions.CLOUDWATCH


@pytest.mark.parametrize("kind", CONNECTORS)
def test_every_kind_of_source_has_a_remedy_of_its_own(kind: str) -> None:
    folder = SourceSettings.model_validate({"name": "x", "type": kind, "location": "s3://acme/logs"})
    assert '"s3:GetObject"' in permissions.of_source(folder)
    if kind in {"openai", "anthropic", "openrouter", "prometheus", "cloudwatch", "cloud_monitoring", "gcp_billing"}:
        source = SourceSettings.model_validate({"name": "x", "type": kind})
        assert permissions.of_source(source) != "Correct this entry of `sources`."


def test_one_file_is_allowed_by_its_own_key() -> None:
    listing, reading = permissions.bucket("s3://acme/focus/2026.parquet", ["s3:GetObject"])["Statement"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "focus/2026.parquet"}}
    assert reading["Resource"] == "arn:aws:s3:::acme/focus/2026.parquet"


def test_settings_can_read_from_elsewhere_than_the_home(tmp_path: Path) -> None:
    company = Company(tmp_path).configure().bill(deliveries=1)
    settings: Settings = company.settings
    assert tried(company).works
    assert not (settings.home / "landing").exists()
