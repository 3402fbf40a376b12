"""Step kinds: read, classify, do, verify, undo; looked up by kind, so that an old journal can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nftui.steps.kind import Kinds


def load_kinds() -> Kinds:
    """All kinds that this version can do and undo.

    They are imported here: whoever needs one name of one kind, to plan with it, does not pay for all of them.
    """
    from nftui.steps.copy import CopyKind, DataCheckKind
    from nftui.steps.counted import GrafanaCountKind, QdrantCountKind
    from nftui.steps.fence import FenceKind, LiftKind
    from nftui.steps.files import EnvKind, FileKind
    from nftui.steps.hold import HoldKind, ReleaseKind
    from nftui.steps.images import ImageCheckKind, ImageKind
    from nftui.steps.kind import Kinds
    from nftui.steps.mounted import MountedKind
    from nftui.steps.ollama import OllamaPreloadKind, OllamaSettingsKind
    from nftui.steps.own import RemoveKind, StartKind
    from nftui.steps.own_places import OwnPlacesKind
    from nftui.steps.pg_upgrade import PgCheckKind, PgDumpKind, PgRestoreKind, PgTryKind
    from nftui.steps.pooling import PoolsKind, RouteKind
    from nftui.steps.project import ProjectCheckKind
    from nftui.steps.qdrant import QdrantCollectionKind
    from nftui.steps.qdrant_defaults import QdrantDefaultsKind
    from nftui.steps.qdrant_reshard import QdrantAliasKind, QdrantImportKind, QdrantShardsKind
    from nftui.steps.qdrant_snapshot import QdrantSnapshotKind
    from nftui.steps.recreate import RecreateKind
    from nftui.steps.redis import RedisLogKind, RedisSettingsKind
    from nftui.steps.redis_handover import RedisCarryKind, RedisCloseKind, RedisImportKind
    from nftui.steps.redis_nodes import RedisClusterKind, RedisShardsKind
    from nftui.steps.redis_replica import RedisReplicaKind
    from nftui.steps.redis_save import RedisCountKind, RedisSaveKind
    from nftui.steps.redis_sentinel import RedisSentinelKind
    from nftui.steps.rehearse_grafana import GrafanaRehearsalKind
    from nftui.steps.rehearse_qdrant import QdrantRehearsalKind
    from nftui.steps.rehearse_redis import RedisRehearsalKind
    from nftui.steps.settings import PostgresSettingsKind

    kinds = (
        FileKind(), EnvKind(), MountedKind(), ProjectCheckKind(), StartKind(), RecreateKind(), RemoveKind(),
        PostgresSettingsKind(), PoolsKind(), RouteKind(), OllamaSettingsKind(), OllamaPreloadKind(),
        QdrantSnapshotKind(), QdrantCollectionKind(), QdrantDefaultsKind(), QdrantShardsKind(), QdrantImportKind(),
        QdrantAliasKind(), RedisLogKind(), RedisSettingsKind(),
        RedisReplicaKind(), OwnPlacesKind(), RedisClusterKind(), RedisShardsKind(), RedisCloseKind(), RedisImportKind(),
        RedisCarryKind(), RedisSentinelKind(),
        ImageKind(), ImageCheckKind(), PgCheckKind(), PgDumpKind(), PgRestoreKind(), PgTryKind(),
        RedisSaveKind(), RedisCountKind(), RedisRehearsalKind(), GrafanaRehearsalKind(),
        QdrantRehearsalKind(), QdrantCountKind(), GrafanaCountKind(),
        DataCheckKind(), HoldKind(), CopyKind(), LiftKind(), FenceKind(), ReleaseKind(),
    )  # fmt: skip
    return Kinds(kinds)
