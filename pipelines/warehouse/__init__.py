"""The disposable DuckDB database: facts by day and hour, what Python computed, marts, and what people read."""
