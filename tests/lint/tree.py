# SPDX-License-Identifier: Apache-2.0
"""What the lints share: finding the sources, and reporting."""
import os
import re
import sys

TOP = os.environ.get("TOP_SRCDIR") or "."
STRICT = os.environ.get("STRICT_LINT") == "1"

# Each folder, and what it may include besides itself.
LAYERS = {
    "base": [],
    "rules": ["base"],
    "router": ["rules", "base"],
    "journal": ["base"],
    "payload": ["base"],
    "bus": ["payload", "journal", "base"],
    # What programs link; its header stands alone.
    "lib": ["bus", "payload", "base"],
    "outbound": ["base"],
    "adapters": ["outbound", "bus", "payload", "journal", "base"],
    # The journal too: the shadow keeps its own events and tallies there.
    "shadow": ["payload", "outbound", "bus", "journal", "base"],
    "console": ["base", "rules", "router", "journal", "payload", "bus", "lib",
                "outbound", "adapters", "shadow"],
}
EVERYTHING = list(LAYERS) + ["proxy"]
LAYERS["proxy"] = EVERYTHING
for _folder in ("tests", "bench", "examples"):
    LAYERS[_folder] = EVERYTHING + ["tests", "bench", "examples"]

_problems = []


def files(*endings):
    """Paths below the top, sorted, without build trees and made files."""
    for root, dirs, names in os.walk(TOP):
        dirs[:] = sorted(d for d in dirs if not d.startswith(".") and not
                         os.path.exists(os.path.join(root, d,
                                                     "config.status")) and
                         not re.match(r"matapalo-\d", d) and
                         d not in ("build-aux", "autom4te.cache"))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(root, name), TOP)
            if name.endswith(endings) and not is_made(path):
                yield path


def is_made(path):
    return path == "config.h" or path.startswith("proxy/llhttp_")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def folder(path):
    return path.split("/")[0]


def without_comments(text):
    """Comments and the insides of strings blanked; line numbers stay."""
    def blank(match):
        found = match.group(0)
        if found.startswith('"'):
            return '"' + " " * (len(found) - 2) + '"'
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text,
                  flags=re.S)


def problem(path, line, text):
    _problems.append("%s:%d: %s" % (path, line, text))


def warning(text):
    print("warning: " + text)


def finish():
    for text in _problems:
        print(text)
    print("%d problems" % len(_problems))
    sys.exit(1 if _problems else 0)
