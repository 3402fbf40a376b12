"""Merging of Compose files, attribute by attribute. Source: compose-go override/merge.go and override/uncity.go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nftui.probes.compose_nodes import Map, Node, Scalar, Seq, go_text, is_null, made, plain
from nftui.probes.compose_template import Ledger

Path = tuple[str, ...]
_Rule = Callable[["Merger", Node, Node, Path], Node]


def as_sequence(node: Node) -> Seq:
    """A mapping as sorted KEY=VALUE entries, a string as a list of one."""
    if isinstance(node, Seq):
        return node
    if isinstance(node, Scalar):
        return Seq([] if node.value is None else [node], node.at)
    return Seq([_pair(key, item) for key, item in sorted(node.items.items())], node.at)


def _pair(key: str, item: Node) -> Scalar:
    if not isinstance(item, Scalar):
        return Scalar(f"{key}={plain(item)}", f"{key}={plain(item)}", item.at)
    value = key if item.value is None else f"{key}={go_text(item.value)}"
    raw = key if item.raw is None else f"{key}={go_text(item.raw)}"
    return Scalar(value, raw, item.at)


def as_mapping(node: Node, make: Callable[[Scalar], Node]) -> Map:
    """A list of names as a mapping; `make` gives each its value."""
    if isinstance(node, Map):
        return node
    if isinstance(node, Scalar):
        return Map({}, node.at)
    return Map({go_text(i.value): make(i) for i in node.items if isinstance(i, Scalar)}, node.at)


def started(item: Scalar) -> Map:
    """What a plain name in `depends_on` means."""
    return Map({"condition": made("service_started", item.at), "required": made(True, item.at)}, item.at)


def _nothing(item: Scalar) -> Node:
    return Scalar(None, None, item.at)


class Merger:
    """Merges one tree over another; what does not fit is noted and the later value wins."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def merge(self, base: Node, over: Node, path: Path = ()) -> Node:
        """`over` applied to `base`."""
        rule = _RULES.get(_pattern(path))
        if rule is not None:
            return rule(self, base, over, path)
        if is_null(over):
            return base
        if isinstance(base, Map) and isinstance(over, Map):
            return self.mappings(base, over, path)
        if isinstance(base, Seq) and isinstance(over, Seq):
            return Seq([*base.items, *over.items], base.at)
        if not isinstance(base, Scalar):
            self.ledger.problem("merge-conflict", f"{'.'.join(path)} cannot be merged: its form differs", over.at)
        return over

    def mappings(self, base: Map, over: Map, path: Path) -> Map:
        """Key by key; extensions are replaced whole."""
        items = dict(base.items)
        for key, node in over.items.items():
            known = items.get(key)
            replace = known is None or key.startswith("x-")
            items[key] = node if replace or known is None else self.merge(known, node, (*path, key))
        return Map(items, base.at)

    def extend(self, base: Map, service: Map) -> Map:
        """A service over the one it extends."""
        return self.mappings(base, service, ("services", "x"))

    def sequence(self, base: Node, over: Node, path: Path) -> Node:
        """Both as lists, one after the other."""
        return Seq([*as_sequence(base).items, *as_sequence(over).items], base.at)

    def replace(self, base: Node, over: Node, path: Path) -> Node:
        """The later value, also where it is null."""
        return over

    def depends_on(self, base: Node, over: Node, path: Path) -> Node:
        """Names and mappings, merged by name."""
        return self.mappings(as_mapping(base, started), as_mapping(over, started), path)

    def networks(self, base: Node, over: Node, path: Path) -> Node:
        """Names and mappings, merged by name."""
        return self.mappings(as_mapping(base, _nothing), as_mapping(over, _nothing), path)

    def build(self, base: Node, over: Node, path: Path) -> Node:
        """A string is the context."""
        return self.mappings(build_map(base), build_map(over), path)

    def logging(self, base: Node, over: Node, path: Path) -> Node:
        """Options merge only where the driver is the same, or one side names none."""
        if not isinstance(base, Map) or not isinstance(over, Map):
            return base if is_null(over) else over
        one, other = base.get("driver"), over.get("driver")
        if is_null(one) or is_null(other) or plain(one or base) == plain(other or over):
            return self.mappings(base, over, path)
        return over

    def ipam(self, base: Node, over: Node, path: Path) -> Node:
        """Pools with one subnet are merged, others added."""
        pools = list(base.items) if isinstance(base, Seq) else []
        for item in over.items if isinstance(over, Seq) else []:
            subnet = _subnet(item)
            match = next((n for n, pool in enumerate(pools) if _subnet(pool) == subnet), None)
            known = pools[match] if match is not None else None
            if match is not None and isinstance(known, Map) and isinstance(item, Map):
                pools[match] = self.mappings(known, item, path)
            else:
                pools.append(item)
        return Seq(pools, base.at)


def build_map(node: Node) -> Map:
    """`build: DIR` as a mapping."""
    if isinstance(node, Map):
        return node
    if is_null(node):
        return Map({}, node.at)
    return Map({"context": node}, node.at)


def _subnet(node: Node) -> object:
    item = node.get("subnet") if isinstance(node, Map) else None
    return plain(item) if item is not None else None


def _pattern(path: Path) -> Path:
    """The path with the names that people choose made `*`."""
    if len(path) < 2:
        return path
    path = (path[0], "*", *path[2:])
    return (*path[:3], "*") if len(path) == 4 and path[2] == "ulimits" else path


def _service_rules(rule: _Rule, names: Sequence[str]) -> dict[Path, _Rule]:
    return {("services", "*", *name.split(".")): rule for name in names}


_SEQUENCES = (
    "annotations", "build.args", "build.additional_contexts", "build.extra_hosts", "build.labels", "deploy.labels",
    "dns", "dns_opt", "dns_search", "env_file", "environment", "extra_hosts", "label_file", "labels",
    "sysctls", "tmpfs",
)  # fmt: skip
_RULES: dict[Path, _Rule] = {
    **_service_rules(Merger.sequence, _SEQUENCES),
    **_service_rules(Merger.replace, ("command", "entrypoint", "healthcheck.test", "ulimits.*")),
    **_service_rules(Merger.depends_on, ("depends_on",)),
    **_service_rules(Merger.networks, ("networks",)),
    **_service_rules(Merger.build, ("build",)),
    **_service_rules(Merger.logging, ("logging",)),
    ("networks", "*", "labels"): Merger.sequence,
    ("volumes", "*", "labels"): Merger.sequence,
    ("networks", "*", "ipam", "config"): Merger.ipam,
}


def unique(node: Seq, key: Callable[[Node], str]) -> Seq:
    """One entry per key: a later one takes the place of the earlier."""
    found: dict[str, Node] = {}
    for item in node.items:
        found[key(item)] = item
    return node if len(found) == len(node.items) else Seq(list(found.values()), node.at)


def without_resets(node: Map, resets: Sequence[Path], prefix: Path = ()) -> Map:
    """The tree without the keys that a later file marks `!reset` or `!override`."""
    for reset in resets:
        if reset[: len(prefix)] == prefix and len(reset) > len(prefix):
            node = _removed(node, reset[len(prefix) :])
    return node


def _removed(node: Map, path: Path) -> Map:
    item = node.get(path[0])
    if item is None:
        return node
    if len(path) == 1:
        return node.without(path[0])
    return node.with_items({path[0]: _removed(item, path[1:])}) if isinstance(item, Map) else node
