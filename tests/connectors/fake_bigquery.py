"""A BigQuery that fails as it is told to, over real HTTP and gRPC; one table of one partition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"


@dataclass
class FakeBigQuery:
    """What it answers, and what it was asked.

    Attributes:
        table: the table's resource.
        rows: rows of the one partition, in batches of ten.
        found: what the look at partitions finds: day, month, newest export time, count.
        refuses: part of a path → status, reason and message.
        size: bytes that a dry run says.
        cuts: for each read in turn, after how many batches it breaks off and how; None lets it through.
        questions: queries, as (dry run, SQL, parameters, most bytes).
        sessions: read sessions, as (table, columns, restriction).
    """

    table: dict[str, Any]
    rows: pa.Table
    found: list[tuple[str, str, str, int]]
    refuses: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    size: int = 0
    cuts: list[tuple[int, Any] | None] = field(default_factory=list)
    questions: list[tuple[bool, str, list[Any], str | None]] = field(default_factory=list)
    sessions: list[tuple[str, list[str], str]] = field(default_factory=list)
    rest: str = ""
    storage: str = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer one REST call."""
        for part, (status, reason, message) in self.refuses.items():
            if part in path:
                return status, {"error": {"code": status, "message": message, "errors": [{"reason": reason}]}}
        if "/tables/" in path:
            return 200, self.table
        if method == "POST":
            return 200, self._job(body["configuration"], body.get("jobReference", {}))
        return 200, self._result()

    def _job(self, configuration: Any, reference: Any) -> Any:
        query = configuration["query"]
        is_dry = configuration.get("dryRun", False)
        parameters = [one["name"] for one in query.get("queryParameters", [])]
        self.questions.append((is_dry, query["query"], parameters, query.get("maximumBytesBilled")))
        result = {"projectId": "acme-billing", "datasetId": "_anonymous", "tableId": "result"}
        return {
            "jobReference": {"projectId": "acme-billing", "jobId": "j", **reference},
            "configuration": {"query": {**query, "destinationTable": result}, "dryRun": is_dry},
            "status": {"state": "DONE"},
            "statistics": {"query": {"statementType": "SELECT", "totalBytesProcessed": str(self.size)}},
        }

    def _result(self) -> Any:
        kinds = {"day": "DATE", "month": "STRING", "newest": "TIMESTAMP", "number": "INTEGER"}
        return {
            "jobComplete": True,
            "jobReference": {"projectId": "acme-billing", "jobId": "j"},
            "schema": {"fields": [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in kinds.items()]},
            "totalRows": str(len(self.found)),
            "rows": [{"f": [{"v": str(cell)} for cell in row]} for row in self.found],
        }

    def session(self, request: Any, _: Any) -> Any:
        """Start a read session."""
        asked = request.read_session
        columns = list(asked.read_options.selected_fields)
        self.sessions.append((asked.table, columns, asked.read_options.row_restriction))
        schema = types.ArrowSchema(serialized_schema=self.rows.schema.serialize().to_pybytes())
        return types.ReadSession(name="s", arrow_schema=schema, streams=[types.ReadStream(name="s/streams/0")])

    def stream(self, request: Any, context: Any) -> Iterator[Any]:
        """Stream the rows from an offset."""
        cut = self.cuts.pop(0) if self.cuts else None
        for number, batch in enumerate(self.rows.slice(request.offset).combine_chunks().to_batches(max_chunksize=10)):
            if cut and number == cut[0]:
                context.abort(cut[1], "cut")
            content = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(arrow_record_batch=content, row_count=batch.num_rows)


@contextmanager
def serving(fake: FakeBigQuery) -> Iterator[FakeBigQuery]:
    """Serve it on free ports."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = fake.answer(self.command, self.path, json.loads(body) if body else None)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    session, rows = types.CreateReadSessionRequest.deserialize, types.ReadRowsRequest.deserialize
    methods = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(fake.session, session, types.ReadSession.serialize),
        "ReadRows": grpc.unary_stream_rpc_method_handler(fake.stream, rows, types.ReadRowsResponse.serialize),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    fake.rest = f"http://127.0.0.1:{http.server_port}"
    fake.storage = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(grace=None).wait()
        http.shutdown()
        http.server_close()
        thread.join()
