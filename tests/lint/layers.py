# SPDX-License-Identifier: Apache-2.0
"""Dependencies point one way: who includes whom, and each library's home."""
import re

import tree

# Header of a library: the only folder (and its tests) that includes it.
HOMES = {
    "jansson.h": "rules",
    "nng/": "bus",
    "sqlite3.h": "journal",
    "cjson/": "payload",
    "zlib.h": "payload",
    "brotli/": "payload",
    "microhttpd.h": "console",
    "sodium.h": "base",
    "pcre2.h": "base",
    "curl/": "outbound",
    "llhttp.h": "proxy",
    "sys/epoll.h": "proxy",
    "openssl/": "proxy",
    "check.h": "tests",
}
OUTSIDE = ("bench",)    # its load driver is no part of the program
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def check_own(path, line, name):
    top = tree.folder(path)
    allowed = tree.LAYERS.get(top)
    target = tree.folder(name)
    if name == "config.h":
        return
    if "/" not in name:
        tree.problem(path, line, '"%s": write the folder, "%s/%s"'
                     % (name, top, name))
    elif allowed is None:
        tree.problem(path, line, "folder %s is in no layer; add it to "
                     "tests/lint/tree.py and docs" % top)
    elif target != top and target not in allowed:
        tree.problem(path, line, "%s may not include %s (%s)"
                     % (top, target, name))


def check_library(path, line, name):
    if tree.folder(path) in OUTSIDE:
        return
    for header, home in HOMES.items():
        if name == header or (header.endswith("/") and
                              name.startswith(header)):
            # tests/strict has every HTTP server as an origin; examples
            # are programs of other people; tools play clients.
            if not path.startswith((home + "/", "tests/%s/" % home,
                                    "tests/strict/", "tests/tools/",
                                    "examples/")):
                tree.problem(path, line, "<%s> is at home in %s/ only"
                             % (name, home))


def check_file(path):
    first = None
    for number, text in enumerate(tree.read(path).split("\n"), 1):
        match = INCLUDE.match(text)
        if not match:
            continue
        kind, name = match.groups()
        first = first or name
        check_library(path, number, name)
        if kind == '"':
            check_own(path, number, name)
    return first


def main():
    headers = set(tree.files(".h"))
    for path in tree.files(".c", ".h", ".def"):
        first = check_file(path)
        own = path[:-2] + ".h"
        if path.endswith(".c") and own in headers and first != own:
            tree.problem(path, 1, 'include "%s" first: that proves that it '
                         "stands alone" % own)
    tree.finish()


main()
