"""A secret is never shown; an ordinary word is never erased."""

import pytest

from nftui.system.redaction import MASK, Redactor, is_secret_name


@pytest.mark.parametrize(
    "name",
    ["POSTGRES_PASSWORD", "DB_PASS", "REDISCLI_AUTH", "OPENAI_API_KEY", "N8N_ENCRYPTION_KEY", "SENTRY_DSN", "apiKey",
     "client_secret", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "requirepass", "QDRANT__SERVICE__API_KEY", "PGPASSWORD",
     "DBPASSWORD", "MYSQL_PWD", "RABBITMQ_ERLANG_COOKIE", "CREDENTIALS", "token", "masterauth"],
)  # fmt: skip
def test_names_that_hold_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["POSTGRES_USER", "POSTGRES_HOST_AUTH_METHOD", "POSTGRES_PASSWORD_FILE", "OLLAMA_KEEP_ALIVE", "KEYSPACE", "PWD",
     "key", "PASSWORD_MIN_LENGTH", "MAX_TOKENS", "shared_buffers", "PUBLIC_KEY", "password_encryption", "KEY_PREFIX"],
)  # fmt: skip
def test_names_that_do_not(name: str) -> None:
    assert not is_secret_name(name)


SECRET = "S3cr@t/x:9"


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://app:{SECRET}@db:5432/app?sslmode=disable",
        f"redis://:{SECRET}@cache/0",
        f"POSTGRES_PASSWORD={SECRET}",
        f"  POSTGRES_PASSWORD: {SECRET}",
        f'+      POSTGRES_PASSWORD: "{SECRET}"',
        f"-      - POSTGRES_PASSWORD={SECRET}",
        f'{{"POSTGRES_PASSWORD": "{SECRET}"}}',
        f"redis-server --requirepass {SECRET} --appendonly yes",
        f"redis-server --requirepass '{SECRET}'",
        f"redis-cli -h db -a {SECRET} ping",
        f"curl -u admin:{SECRET} http://grafana",
        f"Authorization: Bearer {SECRET}",
        f"mysqladmin ping -p{SECRET}",
        f"--api-key={SECRET}",
        f'export PGPASSWORD="{SECRET}"; psql',
        f"DB_PASSWORD: ${{DB_PASSWORD:-{SECRET}}}",
        '"app" "SCRAM-SHA-256$4096:abc==$def=:ghi="',
        '"app" "md5' + "0123456789abcdef" * 2 + '"',
        "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_texts_without_knowing_the_value(text: str) -> None:
    shown = Redactor().text(text)
    assert MASK in shown
    for part in ("S3cr", "t/x", ":9", "4096:abc", "0123456789", "MIIabc"):
        assert part not in shown, shown


@pytest.mark.timeout(60)
@pytest.mark.parametrize("word", ["a1-b.c.", "a1.b+c-"])
def test_a_line_of_half_a_million_characters_is_read_once(word: str) -> None:
    """Searched to its end from every dot, it would take minutes."""
    line = word * 80_000
    assert Redactor().text(f"{line} db.password=S3cr line") == f"{line} db.password={MASK} line"


def test_what_is_not_secret_stays() -> None:
    for text in (
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}",
        "POSTGRES_PASSWORD=${POSTGRES_PASSWORD:?set it}",
        "http://localhost:9090/metrics",
        "http://host:8080/a@2x.png",
        "postgres:16-alpine",
        "POSTGRES_HOST_AUTH_METHOD=trust",
        "shared_buffers = 128MB",
        "ghcr.io/x/y@sha256:" + "0" * 64,
        "password authentication failed for user app",
        "MAX_TOKENS=4096",
        "http://[::1]:11434/api",
        "image: redis:7 # note: key value",
        "--tokens 12",
    ):
        assert Redactor().text(text) == text


def test_a_known_value_is_hidden_everywhere_in_every_form() -> None:
    redactor = Redactor()
    redactor.learn({"DB_PASSWORD": "Hunter2$x@y!z", "URL": "amqp://u:qweRTY12345@mq"})
    for text in ("said Hunter2$x@y!z", "Hunter2$$x@y!z", "Hunter2%24x%40y%21z", "user u with qweRTY12345"):
        assert "unter2" not in redactor.text(text)
        assert "qweRTY" not in redactor.text(text)


def test_a_common_password_hides_no_words() -> None:
    redactor = Redactor()
    redactor.learn({"POSTGRES_PASSWORD": "postgres", "REDIS_PASSWORD": "nextflow", "POSTGRES_DB": "nextflow"})
    assert redactor.text("postgres:16 of nextflow has 1 replica") == "postgres:16 of nextflow has 1 replica"
    assert redactor.value("POSTGRES_PASSWORD", "postgres") == MASK
    assert redactor.data({"environment": {"POSTGRES_PASSWORD": "postgres", "POSTGRES_USER": "postgres"}}) == {
        "environment": {"POSTGRES_PASSWORD": MASK, "POSTGRES_USER": "postgres"}
    }


def test_the_parts_of_an_image_are_public() -> None:
    redactor = Redactor()
    redactor.learn({"API_KEY": "acme-sandbox", "OTHER_KEY": "9vX-not-a-real-one"})
    redactor.learn_images(["registry.example/acme/acme-sandbox:0.2.12", None])
    assert redactor.text("acme/acme-sandbox:0.2.12 9vX-not-a-real-one") == f"acme/acme-sandbox:0.2.12 {MASK}"
    assert redactor.value("API_KEY", "acme-sandbox") == MASK


def test_a_service_called_auth_does_not_hide_names_of_variables() -> None:
    assert Redactor().text("auth: GOTRUE_DB_DATABASE_URL") == "auth: GOTRUE_DB_DATABASE_URL"
    assert Redactor().text("auth: hunter2x9") == f"auth: {MASK}"
    assert Redactor().value("AUTH_IMAGE", "supabase/gotrue:v2") == "supabase/gotrue:v2"


def test_structures_by_context() -> None:
    data = {
        "evidence": [{"key": "POSTGRES_PASSWORD", "value": "abc", "line": 3}, {"key": "jit", "value": "on"}],
        "environment": ["A_TOKEN=abc", "B=c"],
        "command": ["redis-server", "--requirepass", "abc", "--save", "60"],
        "pin_password": 1234,
        "healthcheck": {"test": ["CMD", "redis-cli", "-a", "abc", "ping"]},
        "assertions": [{"target": "service.db.environment.DB_PASSWORD", "expected": "abc"}],
    }
    assert Redactor().data(data) == {
        "evidence": [{"key": "POSTGRES_PASSWORD", "value": MASK, "line": 3}, {"key": "jit", "value": "on"}],
        "environment": [f"A_TOKEN={MASK}", "B=c"],
        "command": ["redis-server", "--requirepass", MASK, "--save", "60"],
        "pin_password": MASK,
        "healthcheck": {"test": ["CMD", "redis-cli", "-a", MASK, "ping"]},
        "assertions": [{"target": "service.db.environment.DB_PASSWORD", "expected": MASK}],
    }


def test_a_part_of_a_service_name_is_no_secret_even_if_a_key_is_made_of_it() -> None:
    redactor = Redactor()
    redactor.learn({"JWT_KEY": "-public", "API_KEY": "-internal"})
    redactor.learn_ordinary(["api-public"])
    assert redactor.text("api-public at db-internal") == f"api-public at db{MASK}"
