"""One module per screen; each returns its result to the flow."""
