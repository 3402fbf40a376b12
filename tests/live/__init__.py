"""Live probes, quiet checks and read-backs."""
