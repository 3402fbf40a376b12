"""Every sign that a screen draws, each with an ASCII twin: no sign carries meaning that words do not."""

from __future__ import annotations

from nftui.model.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Signs of one alphabet; all but the key names are one cell wide."""

    arrow: str = "→"
    cursor: str = "▸"
    done: str = "✓"
    failed: str = "✗"
    running: str = "●"
    changed: str = "•"
    skipped: str = "–"
    blocked: str = "!"
    full: str = "▇"
    empty: str = "░"
    rule: str = "─"
    dot: str = "·"
    more: str = "…"
    undone: str = "↶"
    up_down: str = "↑↓"
    left_right: str = "←→"
    enter: str = "⏎"

    def plain(self, text: str) -> str:
        """`text` in this alphabet: sentences of the model may hold these signs too."""
        return text if self is UNICODE else text.translate(_TWINS)


UNICODE = Glyphs()
ASCII = Glyphs(
    arrow=">", cursor=">", done="v", failed="x", running="o", changed="*", skipped="-", full="#", empty=".",
    rule="-", dot="|", more="~", undone="<", up_down="up/dn", left_right="lt/rt", enter="enter",
)  # fmt: skip
_TWINS = str.maketrans(
    {"→": ">", "▸": ">", "✓": "v", "✗": "x", "●": "o", "•": "*", "–": "-", "▇": "#", "░": ".", "─": "-", "·": "|",
     "…": "...", "↶": "<", "≥": ">=", "≤": "<=", "×": "x", "÷": "/", "²": "^2", "←": "<", "↑": "^", "↓": "v",
     "⏎": "enter"}
)  # fmt: skip
