"""A delivery of which one file or answer may be another, and a network on which APIs say what it tells them to."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch
from urllib.parse import parse_qs

import boto3
import grpc
import httpx
import stamina
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.cloud import monitoring_v3

from connectors import cloud_monitoring_series, cloudwatch_api, cloudwatch_series
from connectors.source import Source, connector
from tests.connectors.fake_monitoring import SERVICE

NOW: Final = datetime(2026, 7, 1, 14, tzinfo=UTC)
AGENT: Final = "agent.googleapis.com/gpu/utilization"


@dataclass(frozen=True)
class Specimen:
    """A delivery of which one file is told.

    Attributes:
        kind: type of source.
        name: of the file that is told; its ending says the format.
        content: what it says when nothing is wrong.
        options: of the source.
        beside: files that lie beside it.
        answers: question → answer, where it is no file but what an API says to the question `name`.
        cost: native column of the billed cost, where the file is a table of bill lines.
        places: names of which one must stand in an error.
    """

    kind: str
    name: str
    content: bytes
    options: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, bytes] = field(default_factory=dict)
    answers: Callable[[str, Mapping[str, str]], tuple[str, bytes]] | None = None
    cost: str = ""
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say which it is in the name of a test."""
        return f"{self.kind} {self.name}"

    def source(self, folder: Path, landing: Path, content: bytes) -> Source:
        """Deliver with this content, and open the source over it."""
        chosen = connector(self.kind)
        options = dict(self.options)
        if self.answers is None:
            for name, said in {self.name: content, **self.beside}.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(said)
            options["location"] = str(folder)
        else:
            _Heard.answers, _Heard.name, _Heard.content = self.answers, self.name, content
            if self.kind == "cloud_monitoring":
                options["api_endpoint"] = f"http://127.0.0.1:{_Heard.port}"
        made = cast("Callable[..., Source]", chosen)
        arguments = [self.kind, chosen.Options(**options), landing, lambda _: None]
        return made(*arguments, lambda: NOW) if self.kind in _WITH_A_CLOCK else made(*arguments)


_WITH_A_CLOCK: Final = {"cloud_monitoring", "cloudwatch", "generic_gpu", "gpu_jobs", "prometheus", "slurm"}


class _Heard:
    """What the network says at the moment."""

    answers: Callable[[str, Mapping[str, str]], tuple[str, bytes]]
    name: str
    content: bytes
    port: int

    @classmethod
    def to(cls, path: str, query: Mapping[str, str]) -> bytes:
        name, answer = cls.answers(path, query)
        return cls.content if name == cls.name else answer


@contextmanager
def network() -> Iterator[None]:
    """Let the clients of every API hear the specimen's answers, through all of their own code but the socket."""

    def http(request: httpx.Request) -> httpx.Response:
        said = request.content.decode() or request.url.query.decode()
        query = {name: values[0] for name, values in parse_qs(said).items()}
        return httpx.Response(200, content=_Heard.to(request.url.path, query))

    def aws(_: URLLib3Session, request: Any) -> AWSResponse:
        target = request.headers.get("X-Amz-Target", b"").decode().rpartition(".")[2]
        body = _Heard.to(target, json.loads(request.body or b"{}"))
        answer = AWSResponse(request.url, 200, {"Content-Type": "application/x-amz-json-1.0"}, None)  # type: ignore[arg-type]
        answer._content = body  # type: ignore[attr-defined]  # noqa: SLF001 - as botocore's own recorder sets it
        return answer

    # It takes names from the modules that are patched below, so it takes them before.
    importlib.import_module("connectors.cloud_monitoring_api")
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    methods = {
        "GetMetricDescriptor": grpc.unary_unary_rpc_method_handler(
            lambda request, _: metric_pb2.MetricDescriptor(name=request.name, unit="%"),
            monitoring_v3.GetMetricDescriptorRequest.deserialize,
            metric_pb2.MetricDescriptor.SerializeToString,
        ),
        "ListTimeSeries": grpc.unary_unary_rpc_method_handler(
            lambda request, _: _protobuf(_Heard.to(request.filter, {})),
            monitoring_v3.ListTimeSeriesRequest.deserialize,
            bytes,
        ),
    }
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    _Heard.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stamina.set_testing(True, attempts=1)
    client = partial(httpx.Client, transport=httpx.MockTransport(http))
    try:
        with (
            patch.object(httpx, "Client", client),
            patch.object(URLLib3Session, "send", aws),
            patch.object(boto3, "Session", lambda **_: session),
            # All of them are asked for and read in one way: one is enough, and the others cost minutes.
            patch.object(cloudwatch_api, "METRICS", {"CWAgent": cloudwatch_series.METRICS["CWAgent"]}),
            patch.object(cloud_monitoring_series, "METRICS", {AGENT: cloud_monitoring_series.METRICS[AGENT]}),
        ):
            yield
    finally:
        stamina.set_testing(False)
        server.stop(grace=None).wait()


def _protobuf(content: bytes) -> bytes:
    """Give the wire's form of JSON; what is none goes as it is."""
    try:
        made: bytes = monitoring_v3.ListTimeSeriesResponse.serialize(
            monitoring_v3.ListTimeSeriesResponse.from_json(content)
        )
    except Exception:  # noqa: BLE001 - whatever it is, no server could have said it in JSON
        return content
    return made
