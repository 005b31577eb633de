"""Colours: one per workload, the same on every surface.

Hues follow Okabe and Ito's colour-blind-safe set, darkened until each stands out from white by 3 : 1, which WCAG 2.2
(1.4.11) asks of graphics; text on them is white or ink, whichever reads better. Text is never in a workload's colour.
"""

from __future__ import annotations

from typing import Final

WORKLOADS: Final = {
    "inference": "#0B6BA8",
    "training": "#C2410C",
    "fine_tuning": "#B58D00",
    "development": "#A85C94",
    "storage": "#147A5E",
    "unattributed": "#4A5260",
    "shared": "#737B87",
    "not_ai": "#8B929C",
}
"""Colours by workload, in the order in which charts, legends and tables name them."""

AI_WORKLOADS: Final = ("inference", "training", "fine_tuning", "development", "storage", "unattributed")
"""What counts as AI money; `shared` and `not_ai` stand beside it."""

INK: Final = "#1B2430"
MUTED: Final = "#525C6B"
GRID: Final = "#E3E7EC"
PAPER: Final = "#FFFFFF"
BAND: Final = "#DCE6EF"
"""Behind a claimed range."""

WASTE: Final = "#9B1B30"
"""Accelerator money that did nothing."""
UNKNOWN: Final = "#8B929C"
"""Nobody measured."""
GOOD: Final = "#1A6B4B"
PLAIN: Final = "#3F5873"
"""Bars that stand for no workload."""


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours as WCAG 2.2 defines it, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def on(colour: str) -> str:
    """Give the colour that text on a ground of this colour is best read in."""
    return max((PAPER, INK), key=lambda text: contrast(text, colour))


def _luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]  # noqa: PLR2004 - sRGB's own numbers
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
