"""Every table people query, one SELECT per file."""
