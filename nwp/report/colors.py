"""The colours of the page and of its plots, by what they are for; one set by day, one by night.

Plots are drawn in the colours of the day. Where they stand in the page each is replaced by the CSS
variable of its name, so that one drawing serves both; for that no two by day may be the same.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT = {
    "paper": "#faf8f3",
    "card": "#fffefb",
    "ink": "#1d1f24",
    "muted": "#595d66",
    "line": "#dfdbd0",
    "grid": "#ece8de",
    "idle": "#d3cec1",
    "accent": "#0a675f",
    "accent-mid": "#5aa89f",
    "accent-soft": "#d3e8e4",
    "warm": "#a8481a",
    "warm-soft": "#f7e4d7",
}
DARK = {
    "paper": "#121417",
    "card": "#1a1d22",
    "ink": "#eceae4",
    "muted": "#a6aab3",
    "line": "#343840",
    "grid": "#282c33",
    "idle": "#454a54",
    "accent": "#66d1c3",
    "accent-mid": "#3a8f86",
    "accent-soft": "#1d413d",
    "warm": "#f2a06e",
    "warm-soft": "#43291b",
}
# Whatever stands on what: text needs a contrast of 4.5 (WCAG 2.2, 1.4.3).
READ_ON = {
    "ink": ("paper", "card", "accent-soft", "warm-soft"),
    "muted": ("paper", "card"),
    "accent": ("paper", "card", "accent-soft"),
    "warm": ("paper", "card", "warm-soft"),
}


def variables(colors: Mapping[str, str]) -> str:
    """As declarations of CSS variables."""
    return "".join(f"--{name}:{value};" for name, value in colors.items())


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours such as "#1d1f24", 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
