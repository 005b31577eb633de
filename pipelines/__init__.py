"""What runs when, and the only rooms that touch Delta, DuckDB and Dagster."""
