"""What nftui knows of images and apps, as data: roles, versions, environment names, data paths, ports, healthchecks."""

from __future__ import annotations

from nftui.catalog.classify import Classification, classify, restart_policy
from nftui.catalog.environment import EnvNames, env_names, is_inert, may_read
from nftui.catalog.loader import catalog, configuration_directories, load_catalog
from nftui.catalog.lookup import data_paths, default_ports, healthchecks
from nftui.catalog.repositories import Repository, deprecation, end_of_support, lacking, next_step, repositories_of
from nftui.catalog.schema import Catalog, CatalogError, Family, Healthcheck

__all__ = [
    "Catalog",
    "CatalogError",
    "Classification",
    "EnvNames",
    "Family",
    "Healthcheck",
    "Repository",
    "catalog",
    "classify",
    "configuration_directories",
    "data_paths",
    "default_ports",
    "deprecation",
    "end_of_support",
    "env_names",
    "healthchecks",
    "is_inert",
    "lacking",
    "load_catalog",
    "may_read",
    "next_step",
    "repositories_of",
    "restart_policy",
]
