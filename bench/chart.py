# SPDX-License-Identifier: Apache-2.0
"""Bar charts as SVG, small enough to be read as text."""
from xml.sax.saxutils import escape

LEFT, WIDTH, RIGHT = 180, 420, 130
MOST = 2.5              # longer bars are cut, and say so
BAR, GAP, GROUP = 13, 2, 14
COLOURS = {"nginx": "#8d99ae", "haproxy": "#b8a27a", "envoy": "#a585a8",
           "matapalo": "#1b7f5c", "matapalo recorded": "#79bd9a"}
OTHER = "#666666"
STYLE = ("text{font:11px sans-serif;fill:#222}"
         ".t{font-weight:bold;font-size:13px}"
         "@media(prefers-color-scheme:dark){text{fill:#ddd}}")


def rectangle(x, y, width, colour):
    return '<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
        x, y, width, BAR, colour)


def text(x, y, words, more=""):
    return '<text x="%d" y="%d"%s>%s</text>' % (x, y, more, escape(words))


def group(y, label, bars, most):
    """One row of the comparison; bars: [(name, length, words)]."""
    parts = [text(LEFT - 8, y + len(bars) * (BAR + GAP) // 2 + 4, label,
                  ' text-anchor="end"')]
    for name, length, words in bars:
        width = WIDTH * min(length, most) / most
        words = ("... " if length > most else "") + words
        parts.append(rectangle(LEFT, y, width, COLOURS.get(name, OTHER)))
        parts.append(text(LEFT + int(width) + 5, y + BAR - 2, words))
        y += BAR + GAP
    return parts, y + GROUP


def legend(names, y):
    parts, x = [], LEFT
    for name in names:
        parts.append(rectangle(x, y, BAR, COLOURS.get(name, OTHER)))
        parts.append(text(x + BAR + 4, y + BAR - 2, name))
        x += BAR + 20 + 7 * len(name)
    return parts


def bars(title, groups):
    """groups: [(label, [(name, length, words)])]."""
    most = min(MOST, max(length for _, row in groups
                         for _, length, _ in row))
    names = []
    for _, row in groups:
        names += [name for name, _, _ in row if name not in names]
    parts, y = [text(LEFT, 16, title, ' class="t"')], 52
    parts += legend(names, 26)
    for label, row in groups:
        more, y = group(y, label, row, most)
        parts += more
    total = LEFT + WIDTH + RIGHT
    return "\n".join(
        ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
         'width="%d">' % (total, y, total),
         "<title>%s</title>" % escape(title),
         "<style>%s</style>" % STYLE] + parts + ["</svg>", ""])
