"""Clients of the services, over address or exec."""
