"""A PostgreSQL client that answers from a table, and a Docker exec that is scripted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nftui.clients.sql import Outcome, Param, Query, QueryError, Row, only
from nftui.model.stack import Container, Service


class FakeClient:
    """Answers with the first entry whose key occurs in the statement; none is an undefined table."""

    def __init__(self, answers: Mapping[str, Outcome], user: str = "crm") -> None:
        self.answers = answers
        self.via, self.user = "address 172.18.0.2:5432", user
        self.asked: list[Query] = []
        self.closed = False

    def query(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        return only(self, Query(sql, params))

    def batch(self, queries: Iterable[Query]) -> list[Outcome]:
        return [self._answer(query) for query in queries]

    def close(self) -> None:
        self.closed = True

    def _answer(self, query: Query) -> Outcome:
        self.asked.append(query)
        missing = QueryError("42P01", "relation does not exist")
        return next((rows for key, rows in self.answers.items() if key in query.sql), missing)


class FakeExec:
    """Plays back answers in order and keeps the calls."""

    def __init__(self, *answers: tuple[int, bytes, bytes] | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[tuple[str, ...], dict[str, str], bytes, str | None]] = []

    def exec(
        self,
        container_id: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,
        timeout: float = 10.0,
        user: str | None = None,
    ) -> tuple[int, bytes, bytes]:
        self.calls.append((tuple(argv), dict(env or {}), input or b"", user))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def container(**changes: object) -> Container:
    base: dict[str, object] = {
        "id": "c1", "name": "crm-postgres-1", "service": "postgres", "number": 1, "state": "running", "health": None,
        "image": "postgres:15", "image_id": "sha256:1",
    }  # fmt: skip
    return Container(**{**base, **changes})  # type: ignore[arg-type]


def service(*containers: Container, **changes: object) -> Service:
    return Service(**{"name": "postgres", "containers": containers, **changes})  # type: ignore[arg-type]
