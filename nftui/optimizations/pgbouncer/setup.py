"""Everything decided for one site: verdicts, sizes, settings. Advice shows it, the fragment writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.logins import TIMEOUTS
from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.optimizations.pgbouncer.files import fixed_settings
from nftui.optimizations.pgbouncer.knobs import ID, IMAGE, POOLED, SESSION, TRANSACTION
from nftui.optimizations.pgbouncer.sizes import CLIENTS, Budget, Sizes, budget_of, memory_of, pools_of, size_pools
from nftui.optimizations.pgbouncer.verdicts import Verdict, judge, mode_of, serve_all
from nftui.optimizations.pgbouncer.versions import PREPARED_SINCE, prepares

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.pgbouncer.site import Site

PREPARED = 200
WAIT_S, RESERVE_S, RETRY_S = 30, 3, 2
_IGNORED = ("extra_float_digits",)
"""What JDBC and the exporter send; PgBouncer refuses what it does not know."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the pooler shall be."""

    site: Site
    verdicts: tuple[Verdict, ...]
    budget: Budget
    sizes: Sizes
    image: str
    pool_mode: str
    recommended_mode: str
    settings: dict[str, str]

    @property
    def routed(self) -> tuple[Verdict, ...]:
        """The apps that go through it."""
        return tuple(v for v in self.verdicts if v.through)

    @property
    def pools(self) -> list[tuple[str, str]]:
        """(user, database) of each pool."""
        return pools_of(self.verdicts)

    @property
    def held(self) -> int:
        """Server connections that all pools may hold."""
        return sum(self.sizes.pool + self.sizes.reserve for _ in self.pools)

    @property
    def memory(self) -> int:
        """Its limit in bytes."""
        return memory_of(int(self.settings["max_client_conn"]), self.held)

    @property
    def modes(self) -> dict[str, str]:
        """Database to its mode."""
        return {str(link.login.database): mode_of(v, self.pool_mode) for v in self.routed for link in v.links}


def set_up(site: Site, choices: Choices) -> Setup:
    """Chosen values first, else what follows from the site. Raises UsageError for what is refused."""
    image = choices.value(ID, None, "image") or IMAGE
    verdicts, budget, sizes = _fit(site, choices, judge(site, choices, image, _missing(site, choices, image)))
    recommended = TRANSACTION if any(v.route == POOLED for v in verdicts) else SESSION
    mode = choices.value(ID, None, "pool_mode") or recommended
    settings = {
        **fixed_settings(),
        "pool_mode": mode,
        "default_pool_size": str(sizes.pool),
        "reserve_pool_size": str(sizes.reserve),
        "max_client_conn": choices.value(ID, None, "max_client_conn") or str(CLIENTS),
        "query_wait_timeout": _seconds(choices, "query_wait_timeout", WAIT_S),
        "reserve_pool_timeout": _seconds(choices, "reserve_pool_timeout", RESERVE_S),
        "server_login_retry": _seconds(choices, "server_login_retry", RETRY_S),
        "ignore_startup_parameters": ",".join(_ignored(verdicts)),
        **_prepared(choices, image),
    }
    return Setup(site, verdicts, budget, sizes, image, mode, recommended, settings)


def _fit(site: Site, choices: Choices, verdicts: tuple[Verdict, ...]) -> tuple[tuple[Verdict, ...], Budget, Sizes]:
    """Sizes, and the verdicts that hold under them. Raises UsageError.

    An app that does not fit its pool stays direct, and what it holds is no longer to be shared: each round has fewer.
    """
    while True:
        budget = budget_of(site, len(pools_of(verdicts)), verdicts)
        sizes = size_pools(budget, choices)
        served = serve_all(site, verdicts, sizes.pool + sizes.reserve)
        if served == verdicts:
            return verdicts, budget, sizes
        verdicts = served


def _missing(site: Site, choices: Choices, image: str) -> Message | None:
    """Why nothing can be routed: nftui starts only what is on the engine. Raises UsageError for a chosen image."""
    if site.has_image(image) is not False:
        return None
    reason = msg("the image {image} is not on this engine; get it with 'docker pull {image}', or name another one by "
                 "pgbouncer.image.", image=image)  # fmt: skip
    if choices.value(ID, None, "image") is not None:
        raise UsageError(msg("{id}.image is refused: {why}", id=ID, why=reason))
    return reason


def _seconds(choices: Choices, name: str, usual: int) -> str:
    return (choices.value(ID, None, name) or str(usual)).removesuffix("s")


def _ignored(verdicts: tuple[Verdict, ...]) -> list[str]:
    """By name, also of what stands inside `options`. Never search_path: an app would read another schema's tables."""
    return sorted({*_IGNORED, *(TIMEOUTS if any(v.drops and v.through for v in verdicts) else ())})


def _prepared(choices: Choices, image: str) -> dict[str, str]:
    chosen = choices.value(ID, None, "max_prepared_statements")
    if prepares(image):
        return {"max_prepared_statements": chosen or str(PREPARED)}
    if chosen not in (None, "0"):
        since = ".".join(str(n) for n in PREPARED_SINCE)
        raise UsageError(
            msg("{id}.max_prepared_statements is refused: {image} does not say that it is PgBouncer {since} or later.",
                id=ID, image=image, since=since)
        )  # fmt: skip
    return {}
