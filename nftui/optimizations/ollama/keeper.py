"""The small service that loads the models again after each restart of their server.

It runs in the server's own image, which has bash and neither curl nor python (AI reference 1.6): it speaks HTTP itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nftui.clients.ollama import FOREVER, port_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.ollama.wishes import Wish

POLL_S = 15
"""Between two looks. The first comes after one: while nftui changes the server, it loads the models itself."""
_SCRIPT = """\
ask() {
  exec 3<>"/dev/tcp/$NFTUI_HOST/$NFTUI_PORT" || return 1
  printf '%s %s HTTP/1.0\\r\\nHost: %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s' \\
    "$1" "$2" "$NFTUI_HOST" "${#3}" "$3" >&3
  cat <&3
  exec 3>&- 3<&-
}
while sleep "$NFTUI_POLL_S" & wait $!; do
  held=$(ollama ps 2>/dev/null) || continue
  while read -r name options; do
    grep -q "^$name[[:space:]]" <<< "$held" && continue
    echo "loading $name"
    rest="\\"model\\":\\"$name\\",\\"keep_alive\\":$NFTUI_KEEP_ALIVE,\\"options\\":$options"
    case "$(ask POST /api/generate "{$rest,\\"stream\\":false}")" in
      *"does not support generate"*) ask POST /api/embed "{$rest,\\"input\\":\\"nftui\\"}" >/dev/null ;;
    esac
  done <<< "$NFTUI_MODELS"
done
"""


def keeper_name(facts: Facts, service: Service) -> str:
    """A name that no service of the operator's has."""
    name = f"{service.name}-preload"
    return name if facts.stack.service(name) is None else f"{name}-nftui"


def can_keep(service: Service) -> bool:
    """Whether a container beside it reaches it by its name, or both are on the host's network."""
    return service.config.get("network_mode") in (None, "", "host")


def keeper(service: Service, wishes: Sequence[Wish]) -> dict[str, object]:
    """The service's definition. It waits by itself for a server that does not answer yet."""
    on_host = service.config.get("network_mode") == "host"
    lines = [f"{w.name} {json.dumps(dict(sorted(w.options.items())), separators=(',', ':'))}" for w in wishes]
    found: dict[str, object] = {
        "image": str(service.raw.get("image") or service.image),
        "entrypoint": ["bash", "-c", _SCRIPT.replace("$", "$$")],
        "command": [],
        "environment": {
            "OLLAMA_HOST": f"{'127.0.0.1' if on_host else service.name}:{port_of(service)}",
            "NFTUI_HOST": "127.0.0.1" if on_host else service.name,
            "NFTUI_PORT": str(port_of(service)),
            "NFTUI_POLL_S": str(POLL_S),
            "NFTUI_KEEP_ALIVE": str(FOREVER),
            "NFTUI_MODELS": "\n".join(lines),
        },
        "depends_on": {service.name: {"condition": "service_started"}},
        "restart": "unless-stopped",
        "init": True,
        "stop_grace_period": "1s",
        "deploy": {"resources": {"limits": {"memory": "64M"}}},
    }
    if on_host:
        found["network_mode"] = "host"
    elif networks := service.config.get("networks"):
        found["networks"] = sorted(networks) if isinstance(networks, (dict, list)) else networks
    return found
