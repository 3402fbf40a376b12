"""Widgets that draw lines and repaint only what changed."""
