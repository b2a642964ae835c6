# SPDX-License-Identifier: Apache-2.0
"""Every event of a scenario's journals against the schema that it names, as
an independent validator (python3-jsonschema) sees it.

The installed schemas are open, so that a new member breaks no consumer. Here
they are closed: a member that a schema does not know is a mistake.
"""
import glob
import json
import os
import sqlite3

try:
    import jsonschema
except ImportError:
    jsonschema = None

FOLDER = os.path.join(os.environ.get("TOP_SRCDIR", "."), "schemas")
URN = "urn:matapalo:schema:"
OWN = ("matapalo.",)
MOST = 100      # of each type of a journal, from its end and its beginning


def file_of(dataschema):
    """urn:matapalo:schema:NAME:vN is matapalo.NAME.vN.json."""
    name = dataschema[len(URN):].replace(":", ".")
    return os.path.join(FOLDER, "matapalo.%s.json" % name)


def closed(node):
    if isinstance(node, list):
        return [closed(x) for x in node]
    if not isinstance(node, dict):
        return node
    made = {k: closed(v) for k, v in node.items()}
    if node.get("type") == "object" and "additionalProperties" not in node:
        made["additionalProperties"] = False
    return made


def validators():
    """{dataschema: validator} of all files."""
    made = {}
    for path in glob.glob(os.path.join(FOLDER, "*.json")):
        with open(path, encoding="utf-8") as f:
            schema = json.load(f)
        jsonschema.Draft202012Validator.check_schema(schema)
        made[schema["$id"]] = jsonschema.Draft202012Validator(closed(schema))
    return made


def rows(path):
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)
    try:
        for name, in db.execute("SELECT text FROM name").fetchall():
            for order in ("ASC", "DESC"):
                yield from db.execute(
                    "SELECT e.seq, t.text, e.extensions, e.data FROM event e "
                    "JOIN name t ON t.id = e.type WHERE t.text = ? "
                    "ORDER BY e.seq %s LIMIT ?" % order, (name, MOST))
    finally:
        db.close()


def text(value):
    return value.decode() if isinstance(value, bytes) else value or ""


def problems(path, known, seen):
    """What is wrong with the events of the journal, one text each."""
    for seq, kind, extensions, data in rows(path):
        named = json.loads("{%s}" % text(extensions)).get("dataschema")
        if named is None and kind.startswith(OWN):
            yield "%s %d names no schema" % (kind, seq)
        if not named or not named.startswith(URN):
            continue
        if named not in known:
            yield "%s %d names %s: no such file" % (kind, seq, named)
            continue
        seen.setdefault(named, set()).add(seq)
        for error in known[named].iter_errors(json.loads(text(data))):
            yield "%s %d at /%s: %s" % (
                kind, seq, "/".join(map(str, error.absolute_path)),
                error.message[:300])


def check(journals):
    """Problems of these journals, and {dataschema: number of events}."""
    if jsonschema is None:
        return [], {}
    known, seen, found = validators(), {}, []
    for path in journals:
        try:
            found += problems(path, known, seen)
        except sqlite3.DatabaseError:
            pass        # damaged on purpose
    return found, {k: len(v) for k, v in seen.items()}
