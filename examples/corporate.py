"""Everything that is no model's compute: storage of both kinds and the ordinary services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from examples.company import PAYER
from examples.meters import CLOUDFRONT, EC2, RDS, S3, Meter, Product, arn, aws, resource_id

_FSX: Final = aws("AmazonFSx", "Amazon FSx")
_EFS: Final = aws("AmazonEFS", "Amazon Elastic File System")
_ECR: Final = aws("AmazonECR", "Amazon EC2 Container Registry (ECR)")
_LAMBDA: Final = aws("AWSLambda", "AWS Lambda")
_DYNAMODB: Final = aws("AmazonDynamoDB", "Amazon DynamoDB")
_WATCH: Final = aws("AmazonCloudWatch", "AmazonCloudWatch")


class Service(NamedTuple):
    """A steady service: so much an hour of one SKU in one account."""

    product: Product
    account: str
    team: str
    usage_type: str
    operation: str
    unit: str
    rate: float
    hourly: float
    resource: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    workload: str = "not_ai"
    tag: str = ""
    growth: float = 1.0


def _monthly(gib: float) -> float:
    """Spread a month's units over its hours."""
    return gib / 730


_HOSTILE_QUOTE: Final = (("user_owner", 'Ann "the\nbuilder" O\'Hara'),)
_HOSTILE_SCRIPT: Final = (("user_owner", "<script>alert('owner')</script>"),)

# fmt: off
_STORAGE: Final = (
    Service(S3, "research-training", "research", "USW2-TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023,
            _monthly(420_000), "meridian-model-checkpoints", workload="storage", tag="storage", growth=1.04),
    Service(S3, "research-training", "research", "USW2-Requests-Tier1", "PutObject", "Requests", 5e-6, 160_000,
            "meridian-model-checkpoints", workload="storage", tag="storage"),
    Service(S3, "data", "data", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023, _monthly(330_000),
            "meridian-training-data", workload="storage", growth=1.03),
    Service(S3, "data", "data", "TimedStorage-INT-FA-ByteHrs", "IntelligentTieringFAStorage", "GB-Mo", 0.023,
            _monthly(90_000), "meridian-training-data", workload="storage"),
    Service(S3, "inference-prod", "assistant", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023,
            _monthly(60_000), "meridian-model-registry", workload="storage"),
    Service(_FSX, "research-training", "research", "USW2-Lustre-SSD-250", "CreateFileSystem:Lustre", "GB-Mo", 0.21,
            _monthly(46_000), "file-system/fs-0b8d2f4a6c1e3975d", tags=(("user_mounted_on", "train-cluster-a"),),
            workload="storage", tag="storage"),
    Service(_EFS, "applied-ml", "applied-ml", "USE1-TimedStorage-ByteHrs", "", "GB-Mo", 0.30, _monthly(3_500),
            "file-system/fs-0a1c3e5f7b9d2468e", tags=(("user_purpose", "ml-notebook-homes"),), workload="storage"),
    Service(_ECR, "inference-prod", "assistant", "USE1-TimedStorage-ByteHrs", "", "GB-Mo", 0.10, _monthly(9_000),
            "repository/vllm-serving", workload="storage"),
    Service(S3, "corp-it", "platform", "TimedStorage-SIA-ByteHrs", "StandardIAStorage", "GB-Mo", 0.0125,
            _monthly(900_000), "corp-backups"),
    Service(S3, "platform", "platform", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023, _monthly(380_000),
            "meridian-web-assets"),
    Service(S3, "data", "data", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023, _monthly(520_000),
            "meridian-lake"),
    Service(EC2, "corp-it", "platform", "EBS:SnapshotUsage", "CreateSnapshot", "GB-Mo", 0.05, _monthly(140_000),
            "snapshot/snap-0f6e5d4c3b2a19087"),
)

_ORDINARY: Final = (
    Service(RDS, "platform", "platform", "RDS:Multi-AZ-GP3-Storage", "CreateDBInstance:0021", "GB-Mo", 0.23,
            _monthly(60_000), "db:orders"),
    Service(RDS, "data", "data", "Aurora:ServerlessV2Usage", "CreateDBInstance:0021", "ACU-Hr", 0.12, 160, "cluster:bi",
            _HOSTILE_QUOTE),
    Service(CLOUDFRONT, "platform", "platform", "US-DataTransfer-Out-Bytes", "GET", "GB", 0.085, 410,
            "distribution/E1MERIDIANWEB"),
    Service(CLOUDFRONT, "platform", "platform", "US-Requests-Tier2-HTTPS", "GET", "Requests", 1e-6, 4_200_000,
            "distribution/E1MERIDIANWEB"),
    Service(EC2, "platform", "platform", "DataTransfer-Out-Bytes", "RunInstances", "GB", 0.09, 290),
    Service(EC2, "inference-prod", "platform", "DataTransfer-Regional-Bytes", "InterZone-Out", "GB", 0.01, 1_900),
    Service(EC2, "platform", "platform", "NatGateway-Bytes", "NatGateway", "GB", 0.045, 280,
            "natgateway/nat-0c1d2e3f4a5b69788"),
    Service(EC2, "platform", "platform", "NatGateway-Hours", "NatGateway", "Hrs", 0.045, 6,
            "natgateway/nat-0c1d2e3f4a5b69788"),
    Service(aws("AWSELB", "Elastic Load Balancing"), "platform", "platform", "LCUUsage",
            "LoadBalancing:Application", "LCU-Hrs", 0.008, 1_400, "loadbalancer/app/web/50dc6c495c0c9188"),
    Service(_LAMBDA, "platform", "platform", "Lambda-GB-Second", "Invoke", "Lambda-GB-Second", 1.66667e-5, 820_000,
            "function:checkout", _HOSTILE_SCRIPT),
    Service(_LAMBDA, "data", "data", "Request", "Invoke", "Requests", 2e-7, 9_000_000, "function:ingest"),
    Service(_DYNAMODB, "platform", "platform", "ReadRequestUnits", "CommittedThroughput", "ReadRequestUnits",
            1.25e-7, 90_000_000, "table/sessions"),
    Service(_DYNAMODB, "platform", "platform", "WriteRequestUnits", "PayPerRequestThroughput",
            "WriteRequestUnits", 6.25e-7, 24_000_000, "table/sessions"),
    Service(_WATCH, "platform", "platform", "DataProcessing-Bytes", "PutLogEvents", "GB", 0.50, 38,
            "log-group:/aws/eks/web"),
    Service(_WATCH, "inference-prod", "platform", "CW:MetricMonitorUsage", "MetricStorage", "Metrics", 0.30, 34),
    Service(aws("awskms", "AWS Key Management Service"), "platform", "platform", "us-east-1-KMS-Requests", "Decrypt",
            "Requests", 3e-6, 900_000),
    Service(aws("AWSQueueService", "Amazon Simple Queue Service"), "data", "data", "Requests-Tier1", "SendMessage",
            "Requests", 4e-7, 12_000_000, "ingest-events"),
    Service(aws("AmazonOpenSearchService", "Amazon OpenSearch Service"), "platform", "search",
            "ESInstance:r6g.4xlarge", "ESDomain", "Hrs", 1.339, 12, "domain/catalog"),
    Service(aws("AmazonRedshift", "Amazon Redshift"), "data", "data", "Node:ra3.4xlarge", "RunComputeNode:0001", "Hrs",
            3.26, 8, "cluster:bi-main"),
    Service(aws("ElasticMapReduce", "Amazon Elastic MapReduce"), "data", "data", "BoxUsage:r7i.24xlarge",
            "RunInstances", "Hrs", 0.27, 24, "cluster/j-2MERIDIANETL"),
    Service(aws("AmazonWorkSpaces", "Amazon WorkSpaces"), "corp-it", "platform", "USE1-AW-HW-4", "Monthly", "User",
            45.0, _monthly(210)),
    Service(aws("AmazonGuardDuty", "Amazon GuardDuty"), PAYER, "platform", "USE1-PaidEventsAnalyzed-Bytes", "", "GB",
            0.8, 9),
)

# fmt: on


def meters(seed: int) -> Iterator[Meter]:
    """Meter storage and the ordinary services, a day a line."""
    for service in (*_STORAGE, *_ORDINARY):
        is_traffic = service.product is CLOUDFRONT
        yield Meter(
            account=service.account,
            product=service.product,
            usage_type=service.usage_type,
            operation=service.operation,
            description=f"${service.rate:.10g} per {service.unit} - {service.usage_type}",
            rate=service.rate,
            unit=service.unit,
            family="Storage" if service.unit == "GB-Mo" else "",
            region="us-west-2" if service.usage_type.startswith("USW2-") else "us-east-1",
            resource=_resource(service),
            quantity=service.hourly,
            jitter=0.02 if service.unit == "GB-Mo" else 0.25,
            shape="always" if service.unit in {"GB-Mo", "Hrs"} else "diurnal",
            grain="day",
            growth=service.growth,
            tag=service.tag,
            tags=dict(service.tags),
            # CloudFront's price is put right in the second delivery of the restated month.
            provisional=1.03 if is_traffic else 1.0,
            workload=service.workload,
            team=service.team,
        )
    for disk in range(6):
        yield Meter(
            account="data",
            product=EC2,
            usage_type="EBS:VolumeUsage.gp3",
            operation="CreateVolume-Gp3",
            description="$0.08 per GB-month of General Purpose (gp3) provisioned storage",
            rate=0.08,
            unit="GB-Mo",
            family="Storage",
            resource=resource_id(seed, "vol", "lake", disk),
            quantity=_monthly(24_000),
            grain="day",
            workload="not_ai",
            team="data",
        )


def _resource(service: Service) -> str:
    """Spell the resource as its service does: an S3 bucket by its bare name, the rest by ARN, or nothing."""
    if not service.resource or service.product is S3:
        return service.resource
    namespace = service.product.code.removeprefix("Amazon").removeprefix("AWS").lower()
    return arn(namespace, service.account, service.resource)
