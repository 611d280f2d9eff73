"""The HTTP interface `/api/v1` and the public log (docs/reference/collector-api.md)."""
