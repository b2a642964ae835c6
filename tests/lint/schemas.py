# SPDX-License-Identifier: Apache-2.0
"""The event types in the code are those that have a schema file, each file
says who it is, and the code names no schema without a file."""
import json
import re

import tree

FOLDER = "schemas/"
# The type of a command is the target's own; its data has this schema. The
# output of `diff --json` is no event.
ONLY_SCHEMA = {"matapalo.command.v1", "matapalo.diff.v1"}


def literals(pattern):
    """{found text: place} in the strings of the program's sources."""
    found = {}
    for path in tree.files(".c", ".h", ".def"):
        if tree.folder(path) in ("tests", "bench", "examples", "lib"):
            continue
        text = re.sub(r"/\*.*?\*/", "", tree.read(path), flags=re.S)
        text = text.replace('ENCODE_SCHEMA "', '"urn:matapalo:schema:')
        for match in re.finditer(pattern, text):
            found.setdefault(match.group(1), path)
    return found


def file_of(urn):
    return urn.replace("urn:matapalo:schema:", "matapalo.").replace(":", ".")


def main():
    files = {path[len(FOLDER):-len(".json")]: path
             for path in tree.files(".json") if path.startswith(FOLDER)}
    types = literals(r'"(matapalo\.[a-z.]+\.v[0-9]+)"')
    named = {file_of(urn): place for urn, place in
             literals(r'(urn:matapalo:schema:[a-z.]+:v[0-9]+)\b').items()}
    for name, place in sorted(types.items()) + sorted(named.items()):
        if name not in files:
            tree.problem(place, 1, "%s has no file in %s" % (name, FOLDER))
    for name, path in sorted(files.items()):
        if name not in types and name not in ONLY_SCHEMA:
            tree.problem(path, 1, "nobody writes this type")
        if name not in named:
            tree.problem(path, 1, "no event names this schema")
        if file_of(json.loads(tree.read(path)).get("$id", "")) != name:
            tree.problem(path, 1, "$id and the file's name differ")
        if name not in tree.read("schemas/module.am"):
            tree.problem(path, 1, "is not installed (schemas/module.am)")
    print("%d schemas" % len(files))
    tree.finish()


main()
