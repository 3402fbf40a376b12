"""The heart: check, budget, planner, preview, journal, snapshots, the run loop, drift."""
