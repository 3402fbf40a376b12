"""One folder or module an optimization, each exposing `OPTIMIZATION`; the registry scans this package."""
