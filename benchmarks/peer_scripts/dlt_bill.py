"""A dlt pipeline from the file into DuckDB, every column as text."""

import sys

import dlt
from dlt.sources.filesystem import filesystem, read_csv_duckdb

folder, _, name = sys.argv[1].rpartition("/")
files = filesystem(bucket_url=f"file://{folder}", file_glob=name)
target = dlt.destinations.duckdb(f"{sys.argv[2]}/lines.duckdb")
pipeline = dlt.pipeline("bill", destination=target, dataset_name="aws", pipelines_dir=f"{sys.argv[2]}/state")
lines = (files | read_csv_duckdb(use_pyarrow=True, all_varchar=True)).with_name("lines")
pipeline.run(lines, write_disposition="replace")
