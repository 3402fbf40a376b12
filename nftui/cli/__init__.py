"""The command line: verbs, text and JSON output, exit codes."""
