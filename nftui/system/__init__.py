"""Ports to the outside: commands, files, processes, Docker, Compose, clock, redaction."""
