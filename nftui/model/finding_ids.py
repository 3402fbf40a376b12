"""The public ids of findings. Presets and ignore lists name them: they are added to, never renamed."""

from __future__ import annotations

IDS = tuple(
    """
    postgres-defaults postgres-env-inert postgres-config-mount-inert postgres-settings-exceed-limit
    postgres-shm-too-small postgres-connections-vs-pools postgres-durability-off postgres-trust-auth
    postgres-empty-password postgres-no-volume postgres-volume-path postgres-major-upgrade
    postgres-healthcheck-init-race postgres-init-script-needs-tcp postgres-stop-grace-short
    pgbouncer-missing pgbouncer-auth-plaintext pgbouncer-outdated
    redis-queue-eviction redis-no-persistence redis-aof-restart-trap redis-maxmemory-unset redis-policy-inert
    redis-queue-memory-small redis-fork-headroom redis-healthcheck-noauth redis-healthcheck-writes
    redis-save-errors-hidden redis-argument-missing redis-flag-renamed
    qdrant-env-unknown qdrant-config-shadowed qdrant-no-api-key qdrant-no-volume qdrant-defaults qdrant-unindexed
    ollama-env-unknown ollama-cold ollama-memory-exceeds-limit
    env-inert env-file-unreferenced image-floating-tag image-deprecated image-outdated default-password
    published-all-interfaces healthcheck-missing healthcheck-tool-missing restart-missing
    limits-missing limits-exceed-host limit-too-small cpu-limit-exceeds-host reservation-cpus-ignored
    container-name-conflict host-port-collision network-undefined include-missing dollar-interpolated
    compose-version-obsolete extra-hosts-override-dns tmpfs-inherited volume-unused storage-slow-medium
    storage-ephemeral backup-missing backup-same-disk host-overcommit host-thp host-swap logging-unbounded
    kept-copies-large prometheus-target-not-exporter monitoring-missing
    """.split()  # noqa: SIM905
)
"""What nftui finds."""

REFUSALS = tuple(
    """
    compose-empty depends-cycle env-file-invalid env-file-missing env-file-too-large extends-cycle extends-missing
    include-conflict include-cycle include-missing include-remote include-unreadable interpolation-invalid
    limits-distinct merge-conflict name-invalid network-undefined service-incomplete service-undefined value-invalid
    variable-missing
    container-name-conflict compose-failed profile-unresolved profiles-together-unresolved project-unresolved
    """.split()  # noqa: SIM905
)
"""What Compose refuses is a finding as well: the reader's problems, under their own ids.

include-conflict is none any more since Compose 5 merges; the name stays, as presets and ignore lists may hold it.
"""
