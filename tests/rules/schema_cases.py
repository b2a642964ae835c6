# SPDX-License-Identifier: Apache-2.0
"""A table of changes: what `schema check` says of each, both ways."""
import json
import os
import subprocess
import sys
import tempfile

MATAPALO = os.environ["MATAPALO"]
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED = dict(OPEN, additionalProperties=False)
MORE = {"type": "object", "properties": {"a": {"type": "string"},
                                         "b": {"type": "integer"}}}
INTEGER, NUMBER, STRING = ({"type": t} for t in
                           ("integer", "number", "string"))
REF = {"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}


def of(**keywords):
    return keywords


# (old, new, is it BACKWARD, is it FORWARD compatible)
CASES = [
    (INTEGER, NUMBER, 1, 0),
    (STRING, {"type": ["string", "null"]}, 1, 0),
    (STRING, INTEGER, 0, 0),
    (OPEN, dict(OPEN, required=["a"]), 0, 1),
    (OPEN, MORE, 0, 1),         # "b" could have been anything
    (CLOSED, dict(MORE, additionalProperties=False), 1, 0),
    (CLOSED, OPEN, 1, 0),
    (of(enum=["a", "b"]), of(enum=["a", "b", "c"]), 1, 0),
    (of(const=1), of(enum=[1.0, 2]), 1, 0),
    (of(type="integer", minimum=1), of(type="integer", exclusiveMinimum=0),
     1, 1),
    (of(type="number", minimum=1), of(type="number", exclusiveMinimum=1),
     0, 1),
    (of(type="string", maxLength=5), of(type="string", maxLength=9), 1, 0),
    (of(type="string", pattern="^a"), of(type="string"), 1, 0),
    (of(type="string", pattern="^a"), of(type="string", pattern="^b"), 0, 0),
    (STRING, of(type="string", format="date"), 0, 1),
    (of(type="array", items=INTEGER), of(type="array", items=NUMBER), 1, 0),
    (of(type="array", prefixItems=[STRING]), of(type="array"), 1, 0),
    (STRING, of(anyOf=[STRING, INTEGER]), 1, 0),
    (STRING, of(oneOf=[STRING, INTEGER]), 1, 0),
    (of(oneOf=[STRING, INTEGER]), of(anyOf=[INTEGER, STRING]), 1, 1),
    (STRING, of(allOf=[STRING, of(minLength=1)]), 0, 1),
    (STRING, REF, 1, 1),
    (REF, INTEGER, 0, 0),
    (STRING, {"not": INTEGER}, 0, 0),   # true one way, but not decided
    (STRING, True, 1, 0),
    (False, STRING, 1, 0),
]
# (old, new, what the finding has)
WORDS = [
    (OPEN, dict(OPEN, minProperties=2), "#: minProperties 2 refuses objects "
     "of fewer members"),
    (of(type="array"), of(type="array", maxItems=1), "arrays of more elem"),
    (STRING, of(allOf=[STRING, of(minLength=2)]),
     "#/allOf/1: minLength 2 refuses shorter strings"),
    (of(type="array"), of(type="array", prefixItems=[True, STRING]),
     "#/prefixItems/1: type: values"),
]
# (text of a schema, what the message has)
UNUSABLE = [
    ('{"type": "strin"}', ":1:10:"),
    ('{"type": }', ":1:"),
    ('{\n "minLength": -1}', ":2:15:"),
    ('{"nullable": true}', "nullable"),
    ('{"$ref": "#/$defs/none"}', "no place"),
    ('{"$ref": "https://shop.example/x"}', "no place"),
    ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "2020-12"),
]


def run(folder, old, new, *mode):
    paths = [os.path.join(folder, n) for n in ("old.json", "new.json")]
    for path, content in zip(paths, (old, new)):
        with open(path, "w") as f:
            f.write(content)
    return subprocess.run([MATAPALO, "schema", "check"] + paths + list(mode),
                          capture_output=True, text=True, timeout=20)


def main():
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for old, new, backward, forward in CASES:
            for mode, want in (("BACKWARD", backward), ("FORWARD", forward),
                               ("FULL", backward and forward), ("NONE", 1)):
                ran = run(folder, json.dumps(old), json.dumps(new),
                          "--compatibility", mode)
                if ran.returncode != 1 - want or \
                        bool(ran.stdout) == bool(want):
                    wrong.append("%s %s -> %s: status %d\n%s%s" % (
                        mode, old, new, ran.returncode, ran.stdout,
                        ran.stderr))
        for old, new, words in WORDS:
            ran = run(folder, json.dumps(old), json.dumps(new))
            if words not in ran.stdout:
                wrong.append("%s -> %s: %s" % (old, new, ran.stdout))
        for text, words in UNUSABLE:
            ran = run(folder, text, "true")
            if ran.returncode != 2 or words not in ran.stderr:
                wrong.append("%s: status %d %s" % (text, ran.returncode,
                                                   ran.stderr))
    print("\n".join(wrong) or "%d changes, %d unusable files"
          % (len(CASES), len(UNUSABLE)))
    sys.exit(1 if wrong else 0)


main()
