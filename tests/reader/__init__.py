"""Tests of the plain-file reader."""
