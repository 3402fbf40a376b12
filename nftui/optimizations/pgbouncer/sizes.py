"""How many server connections there are to share, and how large each pool may be (databases reference 2.4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import N_, Message, msg
from nftui.model.units import MIB
from nftui.optimizations.pgbouncer.knobs import ID
from nftui.optimizations.pgbouncer.verdicts import USUAL_POOL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.choices import Choices
    from nftui.optimizations.pgbouncer.site import Site
    from nftui.optimizations.pgbouncer.verdicts import Verdict

POOL, RESERVE, CLIENTS = USUAL_POOL, 5, 1000
"""The mission's values; pools shrink where the server has not so many connections."""
WHY_CLIENTS = msg("PgBouncer's own 100 are fewer than apps may open: it would refuse the next one, not let it wait.")
DIRECT_EACH = 5
"""Connections left for each service that stays direct, where it holds no more now."""
_BASE, _EACH, _STEP = 64 * MIB, 48 * 1024, 16 * MIB
"""Memory of the pooler with its health check; of a connection: some 2 kB, a packet's buffer, its prepared statements,
what the kernel keeps for it. Generous: without its pooler an app has no database."""
HEADROOM = 3
"""For a person with psql, and for nftui's own readings."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Connections of the server: all, kept back for others, and what pools may hold together."""

    total: int
    kept: int
    pools: int
    """How many pools there are: one for each user and database."""

    @property
    def room(self) -> int:
        """What all pools may hold together."""
        return self.total - self.kept

    @property
    def each(self) -> int:
        """What one pool may hold, its reserve included."""
        return max(0, self.room) // max(1, self.pools)


def pools_of(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """(user, database) of every pool, sorted."""
    return sorted({(str(link.login.user), str(link.login.database)) for v in verdicts if v.through for link in v.links})


def budget_of(site: Site, pools: int, verdicts: Iterable[Verdict] = ()) -> Budget:
    """What the server has, less what is reserved, direct and for people.

    An app of the site that no verdict routes is direct.
    """
    kept = site.facts.reserved + HEADROOM + _beside(site, verdicts)
    return Budget(site.facts.max_connections, kept, pools)


def _beside(site: Site, verdicts: Iterable[Verdict]) -> int:
    """Connections for those who go past the pools: what they hold now, and room for each app that may open some.

    What is held by nobody that is known, or by a routed app with another login, counts in steps: one session more or
    less changes no plan.
    """
    routed = {verdict.service: verdict for verdict in verdicts if verdict.through}
    sessions, kept = Counter(site.unpooled()), 0
    for name, links in site.apps().items():
        mine = Counter(site.sessions_of(links[0].client))
        if name not in routed:
            sessions -= mine
            kept += max(DIRECT_EACH, mine.total())
        else:
            pools = {link.pool for link in routed[name].links}
            sessions -= Counter(s for s in mine.elements() if (s.user, s.database) in pools)
            kept += DIRECT_EACH * bool(routed[name].past)
    return kept + -(-sessions.total() // DIRECT_EACH) * DIRECT_EACH


def memory_of(clients: int, servers: int) -> int:
    """What a pooler of so many connections may use, in bytes."""
    return -(-(_BASE + (clients + servers) * _EACH) // _STEP) * _STEP


@dataclass(frozen=True, slots=True)
class Sizes:
    """Pool sizes: what stands and what is recommended."""

    pool: int
    reserve: int
    recommended_pool: int
    recommended_reserve: int
    why: Message


def size_pools(budget: Budget, choices: Choices) -> Sizes:
    """The chosen sizes, else what fits. Raises UsageError for sizes that cannot fit, where there are pools at all."""
    each = budget.each
    reserve = min(RESERVE, each // 6)
    pool = min(POOL, each - reserve)
    chosen = [choices.value(ID, None, name) for name in ("default_pool_size", "reserve_pool_size")]
    if chosen[0] is not None:
        reserve_now = int(chosen[1]) if chosen[1] is not None else max(0, min(reserve, each - int(chosen[0])))
        sizes = (int(chosen[0]), reserve_now)
    else:
        sizes = (min(POOL, max(1, each - int(chosen[1]))), int(chosen[1])) if chosen[1] is not None else (pool, reserve)
    if budget.pools and (sum(sizes) > each or sizes[0] < 1):
        raise _refused(budget, *sizes)
    return Sizes(*sizes, pool, reserve, _why(budget))


def _why(budget: Budget) -> Message:
    text = (
        N_("Pools may hold {room} of {total} connections; {kept} stay for others."),
        N_("One pool of a user and a database may hold {room} of {total} connections; {kept} stay for others."),
        N_("{pools} pools of a user and a database share {room} of {total} connections; {kept} stay for others."),
    )[min(budget.pools, 2)]
    return msg(text, pools=budget.pools, room=budget.room, total=budget.total, kept=budget.kept)


def _refused(budget: Budget, pool: int, reserve: int) -> UsageError:
    return UsageError(
        msg(
            "The pools cannot fit: {pools} × ({pool} + {reserve}) connections are more than the {room} that the server "
            "has for them (max_connections {total}, less {kept} for others). A pool may have {each} in all.",
            pools=budget.pools, pool=max(pool, 1), reserve=reserve, room=max(0, budget.room), total=budget.total,
            kept=budget.kept, each=budget.each,
        )
    )  # fmt: skip
