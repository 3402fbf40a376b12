"""Findings about Qdrant and Ollama, true and near misses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.ai import Collection, Model, OllamaFacts, QdrantFacts
from nftui.model.facts import Facts, Live
from tests.checks.build import check, read


def qdrant(environment: str = "{}", more: str = "    volumes: [data:/qdrant/storage]\n") -> str:
    tail = "volumes: {data: {}}\n"
    return f"services:\n  db:\n    image: qdrant/qdrant:v1.9.0\n    environment: {environment}\n{more}{tail}"


def ollama(environment: str = "{}", more: str = "", others: str = "") -> str:
    return f"services:\n  db:\n    image: ollama/ollama:0.5.7\n    environment: {environment}\n{more}{others}"


PULL = '  pull:\n    image: ollama/ollama\n    entrypoint: [sh, -c, "ollama pull llama3:{size}"]\n'
PULL += "    environment: {{OLLAMA_HOST: 'http://{host}:11434'}}\n"
DIGEST = f"@sha256:{'9b2a1f0d' * 8}"
OPEN = "    ports: ['6333:6333']\n    volumes: [data:/qdrant/storage]\n"
PULL_TWO = PULL.format(size="8b && ollama pull qwen2.5:14b", host="db")
GPU = "    deploy: {resources: {limits: {memory: 8g}, reservations: {devices: [{capabilities: [gpu]}]}}}\n"

TRUE = [
    ("qdrant-env-unknown", qdrant("{QDRANT__STORAGE__HNSW__M: '32'}")),
    ("qdrant-env-unknown", qdrant("[QDRANT_API_KEY=not-a-real-key]")),
    # Left the settings after 1.9.2; came to them with 1.16.
    ("qdrant-env-unknown", qdrant("[QDRANT__STORAGE__QUANTIZATION__SCALAR__TYPE=int8]").replace("1.9.0", "1.12.4")),
    ("qdrant-env-unknown", qdrant("{QDRANT__SERVICE__METRICS_PREFIX: qdrant_}")),
    ("qdrant-no-api-key", qdrant()),
    ("qdrant-no-api-key", qdrant("{QDRANT__SERVICE__API_KEY: ''}")),
    ("qdrant-no-volume", qdrant(more="    restart: always\n")),
    ("qdrant-no-volume", qdrant(more="    volumes: [data:/var/lib/qdrant]\n")),
    ("qdrant-unindexed", qdrant("{QDRANT__STORAGE__OPTIMIZERS__INDEXING_THRESHOLD_KB: '0'}")),
    ("qdrant-unindexed", qdrant("{QDRANT__STORAGE__HNSW_INDEX__M: 0}")),
    ("ollama-env-unknown", ollama("{OLLAMA_NUM_CTX: '8192', OLLAMA_KEEP_ALIVE: '-1'}")),
    ("ollama-env-unknown", ollama("[OLLAMA_MAX_VRAM=8]").replace("0.5.7", "0.9.0")),
    ("ollama-env-unknown", ollama("[OLLAMA_CONTEXT_LENGTH=8192]")),  # from 0.5.13 on
    ("ollama-env-unknown", ollama("[OLLAMA_NEW_ENGINE=true]").replace("0.5.7", "0.30.0")),
    ("ollama-cold", ollama()),
    ("ollama-cold", ollama("{OLLAMA_KEEP_ALIVE: 5m}")),
    ("ollama-cold", ollama("{OLLAMA_KEEP_ALIVE: '0'}")),
    ("ollama-cold", ollama("{OLLAMA_KEEP_ALIVE: forever}")),  # not a duration: five minutes
    # What is loaded to stay is loaded elsewhere.
    ("ollama-cold", ollama(others=PULL.format(size="3b --keepalive -1", host="elsewhere").replace("pull l", "run l"))),
    ("ollama-memory-exceeds-limit", ollama("{}", "    mem_limit: 8g\n", PULL.format(size="70b", host="db"))),
    # Each fits; both stay.
    ("ollama-memory-exceeds-limit", ollama("{OLLAMA_KEEP_ALIVE: '-1'}", "    mem_limit: 8g\n", PULL_TWO)),
]

NEAR = [
    ("qdrant-env-unknown", qdrant("{QDRANT__STORAGE__HNSW_INDEX__M: '32', qdrant__log_level: INFO}")),
    ("qdrant-env-unknown", qdrant("{QDRANT_NUM_CPUS: 4, QDRANT__STORAGE__QUANTIZATION__SCALAR__TYPE: int8}")),
    ("qdrant-env-unknown", qdrant("[QDRANT__SERVICE__METRICS_PREFIX=a]").replace("1.9.0", "1.16.1")),
    # A digest alone tells no version.
    ("qdrant-env-unknown", qdrant("[QDRANT__STORAGE__QUANTIZATION__SCALAR__TYPE=a]").replace(":v1.9.0", DIGEST)),
    # The healthcheck uses it.
    ("qdrant-env-unknown", qdrant("{QDRANT_KEY: a}", "    healthcheck: {test: 'check $$QDRANT_KEY'}\n")),
    ("qdrant-no-api-key", qdrant("{QDRANT__SERVICE__API_KEY: not-a-real-key}")),
    ("qdrant-no-api-key", qdrant("{QDRANT__SERVICE__API_KEY: '${KEY}'}")),
    ("qdrant-no-api-key", qdrant("[QDRANT__SERVICE__API_KEY]")),
    ("qdrant-no-api-key", qdrant("{QDRANT__SERVICE__READ_ONLY_API_KEY: not-a-real-key}")),
    ("qdrant-no-volume", qdrant()),
    ("qdrant-no-volume", qdrant(more="    volumes: [data:/qdrant]\n")),
    ("qdrant-no-volume", qdrant("{QDRANT__STORAGE__STORAGE_PATH: /data}", "    volumes: [data:/data]\n")),
    ("qdrant-unindexed", qdrant("{QDRANT__STORAGE__OPTIMIZERS__INDEXING_THRESHOLD_KB: '20000'}")),
    ("qdrant-unindexed", qdrant("{QDRANT__STORAGE__HNSW_INDEX__M: 0, QDRANT__STORAGE__HNSW_INDEX__PAYLOAD_M: 16}")),
    ("ollama-env-unknown", ollama("[OLLAMA_CONTEXT_LENGTH=8192]").replace("0.5.7", "latest")),
    ("ollama-env-unknown", ollama("{OLLAMA_NEW_ENGINE: 1, OLLAMA_MULTIUSER_CACHE: 1}").replace("0.5.7", "0.13.5")),
    ("ollama-env-unknown", ollama("{OLLAMA_NUM_PARALLEL: '4', OLLAMA_HOST: 0.0.0.0}")),
    ("ollama-env-unknown", ollama("{OLLAMA_NUM_CTX: '8192'}").replace("ollama/ollama:0.5.7", "example/ollama-ours:1")),
    ("ollama-env-unknown", ollama("[OLLAMA_MAX_VRAM=8]")),  # that version still reads it
    ("ollama-cold", ollama("{OLLAMA_KEEP_ALIVE: '-1'}")),
    ("ollama-cold", ollama("{OLLAMA_KEEP_ALIVE: 24h}")),
    ("ollama-cold", ollama("[OLLAMA_KEEP_ALIVE]")),
    ("ollama-memory-exceeds-limit", ollama("{}", "    mem_limit: 8g\n", PULL.format(size="8b", host="db"))),
    ("ollama-memory-exceeds-limit", ollama("{}", "    mem_limit: 8g\n", PULL.format(size="70b", host="elsewhere"))),
    ("ollama-cold", ollama(others=PULL.format(size="3b --keepalive -1", host="db").replace("pull l", "run l"))),
    (
        "ollama-cold",
        ollama(others='  w: {image: "x/c:1", command: "-d {\\"keep_alive\\": -1} http://db:11434/api/generate"}\n'),
    ),
    ("ollama-memory-exceeds-limit", ollama("{}", "    mem_limit: 8g\n", PULL_TWO)),
    (
        "ollama-memory-exceeds-limit",
        ollama("{OLLAMA_KEEP_ALIVE: -1m, OLLAMA_MAX_LOADED_MODELS: 1}", "    mem_limit: 8g\n", PULL_TWO),
    ),
    ("ollama-memory-exceeds-limit", ollama("{}", GPU, PULL.format(size="70b", host="db"))),
    ("ollama-memory-exceeds-limit", ollama("{}", "", PULL.format(size="70b", host="db"))),
]


@pytest.mark.parametrize(("id", "text"), TRUE)
def test_what_holds_is_found_with_its_line(tmp_path: Path, id: str, text: str) -> None:
    found = check(read(tmp_path, text)).get(("db", id))
    assert found is not None
    assert found.evidence[0].file and found.evidence[0].line and found.source and str(found.detail)
    assert "not-a-real" not in repr(found)


@pytest.mark.parametrize(("id", "text"), NEAR)
def test_what_is_right_stays_silent(tmp_path: Path, id: str, text: str) -> None:
    facts = read(tmp_path, text)
    assert facts.stack.services, facts.stack.problems
    assert ("db", id) not in check(facts)


def test_a_published_qdrant_without_a_key_is_worse(tmp_path: Path) -> None:
    found = check(read(tmp_path / "a", qdrant(more=OPEN)))[("db", "qdrant-no-api-key")]
    assert (found.level, found.evidence[1].key) == ("high", "0.0.0.0:6333")
    local = qdrant(more=OPEN.replace("'6333", "'127.0.0.1:6333"))
    assert check(read(tmp_path / "b", local))[("db", "qdrant-no-api-key")].level == "low"
    host = qdrant(more="    network_mode: host\n    volumes: [data:/qdrant/storage]\n")
    assert check(read(tmp_path / "c", host))[("db", "qdrant-no-api-key")].level == "high"


BIND = qdrant(more="    volumes: ['./conf:/qdrant/config', data:/qdrant/storage]\n")


def test_a_mount_over_the_configuration(tmp_path: Path) -> None:
    assert ("db", "qdrant-config-shadowed") in check(read(tmp_path / "a", BIND))
    own = read(tmp_path / "b", BIND, {"conf/production.yaml": "service: {api_key: not-a-real-key}\n"})
    assert not {k for k in check(own) if k[1] in ("qdrant-config-shadowed", "qdrant-no-api-key")}
    single = qdrant(more="    volumes: ['./p.yaml:/qdrant/config/production.yaml', data:/qdrant/storage]\n")
    assert ("db", "qdrant-config-shadowed") not in check(read(tmp_path / "c", single, {"p.yaml": "log_level: INFO\n"}))


def test_a_configuration_with_comments_only_gives_no_key(tmp_path: Path) -> None:
    facts = read(tmp_path, BIND, {"conf/production.yaml": "log_level: INFO\n# api_key: x\n"})
    assert ("db", "qdrant-no-api-key") in check(facts)


def live(facts: Facts, probe: str, value: object) -> Facts:
    return replace(facts, live={("db", probe): Live(probe, "db", value)})


LARGE = Collection("docs", "green", 1_000_000, 1_000_000, 2, 1536, 16, 100, 10_000)


def test_large_collections_are_read_from_the_server(tmp_path: Path) -> None:
    facts = read(tmp_path, qdrant())

    def ids(collection: Collection, is_open: bool = False) -> set[str]:
        return {id for _, id in check(live(facts, "qdrant", QdrantFacts("1.9.0", (collection,), is_open)))}

    assert "qdrant-defaults" in ids(LARGE)
    assert "qdrant-defaults" not in ids(replace(LARGE, quantized=True))
    assert "qdrant-defaults" not in ids(replace(LARGE, points=1000))
    assert "qdrant-unindexed" in ids(replace(LARGE, indexed_vectors=0))
    assert "qdrant-unindexed" not in ids(replace(LARGE, indexed_vectors=0, status="yellow"))
    assert "qdrant-unindexed" not in ids(replace(LARGE, indexed_vectors=0, points=1000))
    assert "qdrant-no-api-key" in ids(LARGE, is_open=True)
    assert "qdrant-no-api-key" not in ids(LARGE, is_open=False)


def test_a_server_without_models_is_not_cold(tmp_path: Path) -> None:
    facts = read(tmp_path, ollama())

    def found(*stored: Model) -> bool:
        live = {("db", "ollama"): Live("ollama", "db", OllamaFacts("0.5.7", stored, ()))}
        return ("db", "ollama-cold") in check(replace(facts, live=live))

    assert (found(Model("llama3:8b", 1)), found()) == (True, False)


def test_loaded_models_against_the_limit(tmp_path: Path) -> None:
    facts = read(tmp_path, ollama("{OLLAMA_KEEP_ALIVE: '-1'}", "    mem_limit: 8g\n"))
    model, other = Model("a:8b", 5_000_000_000), Model("b:8b", 5_000_000_000)
    twin = replace(model, name="a:latest", digest=model.name)

    def found(value: OllamaFacts) -> bool:
        return ("db", "ollama-memory-exceeds-limit") in check(live(facts, "ollama", value))

    assert found(OllamaFacts("0.5.7", (), (model, model)))
    assert found(OllamaFacts("0.5.7", (model, other), ()))  # both shall stay loaded
    assert not found(OllamaFacts("0.5.7", (model, twin), ())), "two names of one file are in memory once"
    assert not found(OllamaFacts("0.5.7", (model,), (model,)))
    assert not found(OllamaFacts("0.5.7", (), (replace(model, vram=model.size),) * 3))
