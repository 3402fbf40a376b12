"""One form for every attribute of a service: long ports and volumes, maps for environment and labels, absolute paths.

Doing it twice gives the same, so that an included or extended file can be brought into form before it is merged.
Source: compose-go transform/, paths/resolve.go, types/; checked against `docker compose config` by tests/reader.
"""

from __future__ import annotations

from nftui.probes import compose_forms as forms
from nftui.probes import compose_short as short
from nftui.probes import compose_values as values
from nftui.probes.compose_forms import Context, Form
from nftui.probes.compose_merge import as_mapping, build_map, started, unique
from nftui.probes.compose_nodes import (
    Map,
    Node,
    Scalar,
    Seq,
    Words,
    child,
    go_text,
    is_null,
    made,
    map_of,
    plain,
    text_of,
)


def _count(value: object) -> object:
    """The number of devices; `all` is -1."""
    return -1 if value == "all" else values.whole(value)


def _command(node: Node, context: Context) -> Node:
    """A list; a string is split as Compose does, its written form is kept."""
    if isinstance(node, Words) or is_null(node):
        return node
    if not isinstance(node, Scalar):
        return forms.texts(node, context)
    try:
        words = values.shell_words(go_text(node.value))
    except ValueError as error:
        context.ledger.problem("value-invalid", f"the command {node.value!r}: {error}", node.at)
        return node
    return Words([made(word, node.at) for word in words], node.at, node.raw)


def _test(node: Node, context: Context) -> Node:
    if isinstance(node, Scalar) and node.value is not None:
        return Seq([made("CMD-SHELL", node.at), forms.text(node, context)], node.at)
    return forms.texts(node, context)


def _ports(node: Node, context: Context) -> Node:
    return unique(forms.entries(node, _port, context), _port_key)


def _port(item: Node, context: Context) -> list[Node]:
    if isinstance(item, Scalar):
        return [] if item.value is None else list(short.ports(Scalar(go_text(item.value), item.raw, item.at)))
    if not isinstance(item, Map) or is_null(item.get("target")):
        raise ValueError("a port has no target")
    defaults: dict[str, Node] = {"mode": made("ingress", item.at), "protocol": made("tcp", item.at)}
    result = forms.formed(item, {"target": forms.whole, "published": forms.text}, context)
    return [Map({**{k: v for k, v in defaults.items() if k not in result.items}, **result.items}, item.at)]


def _port_key(item: Node) -> str:
    get = item.get if isinstance(item, Map) else lambda key: None
    host = text_of(get("host_ip")) or "0.0.0.0"  # noqa: S104 - Compose's default, not an address that is bound here
    return f"{host}:{text_of(get('published'))}:{text_of(get('target'))}/{text_of(get('protocol'))}"


def _volumes(node: Node, context: Context) -> Node:
    return unique(forms.entries(node, _volume, context), lambda item: _target(item, ""))


def _volume(item: Node, context: Context) -> list[Node]:
    if isinstance(item, Scalar):
        text = go_text(item.value)
        if text.startswith(":"):
            # A variable without a value: Compose refuses it, but what is mounted there is not nothing.
            context.ledger.problem("value-invalid", f"volume {text!r} has an empty part", item.at)
            target, _, _ = text[1:].partition(":")
            return [Map({"type": made("bind", item.at), "target": made(short.clean_path(target), item.at)}, item.at)]
        item = short.volume(Scalar(text, item.raw, item.at))
    if not isinstance(item, Map) or is_null(item.get("target")):
        raise ValueError("a volume has no target")
    table: dict[str, Form] = {"read_only": forms.boolean, "target": _cleaned, "tmpfs": _tmpfs_mount, "type": forms.text}
    if text_of(item.get("type")) == "bind":
        table["source"] = _bind_source
    return [forms.formed(item, table, context)]


_cleaned = forms.converted(lambda value: short.clean_path(go_text(value)))


def _tmpfs_mount(node: Node, context: Context) -> Node:
    return forms.apply(node, {"size": forms.size}, context)


def _bind_source(node: Node, context: Context) -> Node:
    value = text_of(node)
    if value is None or (len(value) > 2 and value[1] == ":" and value[0].isalpha()):
        return node
    return forms.absolute_node(node, context)


def _target(item: Node, folder: str) -> str:
    if isinstance(item, Map):
        return text_of(item.get("target")) or f"{folder}/{text_of(item.get('source'))}"
    return f"{folder}/{text_of(item)}"


def _mounted(folder: str) -> Form:
    """Secrets and configs: a name is its source."""

    def make(item: Node, context: Context) -> list[Node]:
        if isinstance(item, Scalar):
            return [Map({"source": item}, item.at)]
        return [forms.apply(item, {"mode": forms.whole, "uid": forms.text, "gid": forms.text}, context)]

    return lambda node, context: unique(forms.entries(node, make, context), lambda item: _target(item, folder))


def _env_file(node: Node, context: Context) -> Node:
    def make(item: Node, context: Context) -> list[Node]:
        entry = item if isinstance(item, Map) else Map({"path": item}, item.at)
        entry = forms.formed(entry, {"path": forms.absolute_node, "required": forms.boolean}, context)
        return [entry if "required" in entry.items else entry.with_items({"required": made(True, entry.at)})]

    if isinstance(node, Map):
        node = Seq([node], node.at)
    return unique(forms.entries(node, make, context), lambda item: str(text_of(child(item, "path"))))


def _depends_on(node: Node, context: Context) -> Node:
    items: dict[str, Node] = {}
    for key, item in as_mapping(node, started).items.items():
        entry = item if isinstance(item, Map) else Map({}, item.at)
        entry = forms.formed(entry, {"required": forms.boolean, "restart": forms.boolean}, context)
        items[key] = Map({**started(made(None, entry.at)).items, **entry.items}, entry.at)
    return Map(items, node.at)


def _networks(node: Node, context: Context) -> Node:
    result = as_mapping(node, lambda item: Scalar(None, None, item.at))
    return Map(
        {
            k: forms.apply(v, {"aliases": forms.names, "priority": forms.whole}, context)
            for k, v in result.items.items()
        },
        node.at,
    )


def _hosts(node: Node, context: Context) -> Node:
    """`host=address` entries; brackets around an IPv6 address go."""

    def make(item: Node, context: Context) -> list[Node]:
        text = text_of(item) or ""
        host, separator, address = text.partition("=") if "=" in text else text.partition(":")
        if not separator or not host:
            raise ValueError(f"extra host {text!r} has no address")
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        raw = item.raw if isinstance(item, Scalar) and "$" in str(item.raw) else f"{host}={address}"
        return [Scalar(f"{host}={address}", raw, item.at)]

    entries = forms.entries(node, make, context)
    return Seq(sorted(unique(entries, lambda i: str(text_of(i))).items, key=lambda i: str(text_of(i))), node.at)


def _build(node: Node, context: Context) -> Node:
    table: dict[str, Form] = {
        "args": forms.environment, "labels": forms.labels, "context": _context, "dockerfile": forms.text,
        "shm_size": forms.size,
        "additional_contexts": forms.labels, "extra_hosts": _hosts, "tags": forms.names, "target": forms.text,
    }  # fmt: skip
    return forms.formed(build_map(node), table, context)


def _context(node: Node, context: Context) -> Node:
    value = text_of(node)
    remote = value is None or "://" in value or value.startswith(("git@", "github.com/")) or value.endswith(".git")
    return node if remote else forms.absolute_node(node, context)


def _ulimits(node: Node, context: Context) -> Node:
    if not isinstance(node, Map):
        return node
    limits = {"soft": forms.whole, "hard": forms.whole}
    return Map(
        {
            k: forms.apply(v, limits, context) if isinstance(v, Map) else forms.whole(v, context)
            for k, v in node.items.items()
        },
        node.at,
    )


def _devices(node: Node, context: Context) -> Node:
    return forms.entries(node, lambda i, _: [short.device(i)] if isinstance(i, Scalar) else [i], context)


def _options(node: Node, context: Context) -> Node:
    return forms.apply(node, {"options": forms.labels}, context)


def _resources(node: Node, context: Context) -> Node:
    part = forms.applied({"cpus": forms.number, "memory": forms.size, "pids": forms.whole, "devices": _gpu_devices})
    return forms.apply(node, {"limits": part, "reservations": part}, context)


def _gpu_devices(node: Node, context: Context) -> Node:
    return forms.entries(
        node, lambda i, c: [forms.apply(i, {"count": forms.converted(_count), "options": forms.labels}, c)], context
    )


_UPDATE = {
    "parallelism": forms.whole,
    "delay": forms.duration,
    "monitor": forms.duration,
    "max_failure_ratio": forms.number,
}
_DEPLOY: dict[str, Form] = {
    "labels": forms.labels,
    "replicas": forms.whole,
    "resources": _resources,
    "update_config": forms.applied(_UPDATE),
    "rollback_config": forms.applied(_UPDATE),
    "restart_policy": forms.applied({"delay": forms.duration, "window": forms.duration, "max_attempts": forms.whole}),
}
_HEALTH: dict[str, Form] = {
    "test": _test,
    "retries": forms.whole,
    "disable": forms.boolean,
    **dict.fromkeys(("interval", "timeout", "start_period", "start_interval"), forms.duration),
}
_SERVICE: dict[str, Form] = {
    **dict.fromkeys(("mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "shm_size"), forms.size),
    **dict.fromkeys(("command", "entrypoint"), _command),
    **dict.fromkeys(("cpus", "cpu_percent"), forms.number),
    **dict.fromkeys(
        ("cpu_count", "cpu_period", "cpu_quota", "cpu_shares", "cpu_rt_period", "cpu_rt_runtime"), forms.whole
    ),
    **dict.fromkeys(("oom_score_adj", "pids_limit", "scale"), forms.whole),
    **dict.fromkeys(("init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty"), forms.boolean),
    **dict.fromkeys(("labels", "annotations", "sysctls", "storage_opt", "log_opt"), forms.labels),
    **dict.fromkeys(
        ("cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "expose", "links", "profiles", "tmpfs"), forms.names
    ),
    **dict.fromkeys(
        ("group_add", "security_opt", "external_links", "volumes_from", "device_cgroup_rules"), forms.texts
    ),
    **dict.fromkeys(("image", "user", "hostname", "container_name", "restart", "network_mode", "cpuset"), forms.text),
    "environment": forms.environment,
    "env_file": _env_file,
    "ports": _ports,
    "volumes": _volumes,
    "secrets": _mounted("/run/secrets"),
    "configs": _mounted(""),
    "depends_on": _depends_on,
    "networks": _networks,
    "extra_hosts": _hosts,
    "healthcheck": forms.applied(_HEALTH),
    "deploy": forms.applied(_DEPLOY),
    "build": _build,
    "ulimits": _ulimits,
    "devices": _devices,
    "logging": _options,
    "stop_grace_period": forms.duration,
}


def _driver_options(node: Node, context: Context) -> Node:
    """Options of a volume; the device of a bind is a path."""
    result = forms.apply(node, {"driver_opts": forms.labels, "labels": forms.labels}, context)
    options = map_of(child(result, "driver_opts"))
    device = options.get("device") if options else None
    if not isinstance(result, Map) or options is None or device is None or text_of(options.get("o")) != "bind":
        return result
    return result.with_items({"driver_opts": options.with_items({"device": forms.absolute_node(device, context)})})


def _external(node: Node, context: Context) -> Node:
    """`external: {name: x}` is the old form of `external: true` with a name."""
    if not isinstance(node, Map):
        return node
    external = node.get("external")
    if isinstance(external, Map):
        name = external.get("name")
        named: dict[str, Node] = {} if name is None or "name" in node.items else {"name": name}
        return node.with_items({"external": made(True, external.at), **named})
    return forms.apply(node, {"external": forms.boolean}, context)


def _resource(form: Form) -> Form:
    def all_of(node: Node, context: Context) -> Node:
        if not isinstance(node, Map):
            return node
        return Map({key: _external(form(item, context), context) for key, item in node.items.items()}, node.at)

    return all_of


def service(node: Map, context: Context) -> Map:
    """One service in canonical form."""
    return forms.formed(node, _SERVICE, context)


def _services(node: Node, context: Context) -> Node:
    if not isinstance(node, Map):
        return node
    return Map({k: service(v, context) if isinstance(v, Map) else v for k, v in node.items.items()}, node.at)


_FILE = forms.applied({"file": forms.absolute_node, "labels": forms.labels})
_MODEL: dict[str, Form] = {
    "services": _services,
    "volumes": _resource(_driver_options),
    "networks": _resource(
        forms.applied({"labels": forms.labels, "driver_opts": forms.labels, "internal": forms.boolean})
    ),
    "secrets": _resource(_FILE),
    "configs": _resource(_FILE),
}


def model(node: Map, context: Context) -> Map:
    """A whole file, or the merge of several, in canonical form."""
    return forms.formed(node, _MODEL, context)


def same(one: Node, other: Node) -> bool:
    """True where two resources say the same."""
    return (plain(one) or {}) == (plain(other) or {})
