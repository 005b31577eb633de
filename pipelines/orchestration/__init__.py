"""What changed, and the Dagster assets that act on it."""
