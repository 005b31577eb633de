"""How each outside system is read: a source and a period in, declared frames out. No Dagster, DuckDB or Delta here."""
