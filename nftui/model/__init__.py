"""Frozen data shared by every layer; standard library only, no I/O."""
