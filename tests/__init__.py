"""Tests of nftui."""
