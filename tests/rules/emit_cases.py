# SPDX-License-Identifier: Apache-2.0
"""Changes of what rules emit, schemas from files, versions in directories."""
import json
import os
import subprocess
import sys
import tempfile

MATAPALO = os.environ["MATAPALO"]
WRONG = []
EMIT = {"type": "shop.order.v1", "subject": "order/{response.body/id}",
        "data": {"id": "{response.body/id}", "kind": "order", "n": 1,
                 "by": "{request.header.x-user}", "list": [1, "a"]}}
ID_SCHEMA = {"type": "object", "required": ["id"]}


def rules(*emits, **more):
    return dict({"version": 1,
                 "targets": {"legacy": {"url": "http://127.0.0.1:1"}},
                 "rules": [{"name": "r%d" % i, "match": {"path": "/%d" % i},
                            "emit": list(e) if isinstance(e, tuple) else [e]}
                           for i, e in enumerate(emits)]}, **more)


def data(**more):
    changed = dict(EMIT["data"], **more)
    return dict(EMIT, data={k: v for k, v in changed.items()
                            if v is not ...})


# (old, new, mode, status, what stdout has)
CASES = [
    (EMIT, EMIT, None, 0, ""),
    (EMIT, data(more=1), None, 0, ""),
    (EMIT, data(more=1), "BACKWARD", 1, '"more" is required'),
    (EMIT, data(kind=...), None, 1, '"kind" is required'),
    (EMIT, data(kind=...), "BACKWARD", 0, ""),
    (EMIT, data(kind=...), "NONE", 0, ""),
    (EMIT, data(n="1"), None, 1, "#/properties/n: type"),
    (EMIT, data(n=1.5), "BACKWARD", 0, ""),
    (EMIT, data(n=1.5), "FULL", 1, "#/properties/n: type"),
    (EMIT, data(id="{response.body/key}"), "FULL", 0, ""),
    (EMIT, data(kind="{response.body/kind}"), None, 1, "#/properties/kind"),
    (EMIT, data(list=[1]), None, 1, "minItems 2 refuses"),
    (EMIT, dict(EMIT, subject="x/{response.body/id}"), None, 1,
     'no subject is "order/*" any more'),
    (EMIT, dict(EMIT, subject="order/{path.id}"), None, 2, ""),
    (EMIT, dict(EMIT, type="shop.bill.v1"), None, 1, "no longer emitted"),
    (EMIT, dict(EMIT, type="shop.order.v2"), None, 0, "note: "),
    (dict(EMIT, type="shop.order.v2"), EMIT, None, 1, "no longer emitted"),
    (EMIT, dict(EMIT, when={"status": "201"}), None, 0, "fewer answers"),
    (EMIT, dict(EMIT, when={"body": {"/a": 1}}), None, 0, "fewer answers"),
    (EMIT, dict(EMIT, when={"status": "2xx,404"}), None, 0, ""),
    (EMIT, dict(EMIT, partition_key="{rule}"), None, 0, "partition_key"),
    (EMIT, (EMIT, data(kind=...)), None, 1, '"kind" is required'),
]
# (text of the file, name in "schema", what the message has)
UNUSABLE = [
    ('{"type":\n "strin"}', "order.v1.json", "order.v1.json:2:2: type: must"),
    ('{"type": }', "order.v1.json", "order.v1.json:1:"),
    ("true", "order.v2.json", "file of version v1"),
    (None, "order.v1.json", "cannot be opened"),
]


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(content if isinstance(content, str) else json.dumps(content))
    return path


def run(*words):
    return subprocess.run([MATAPALO] + list(words), capture_output=True,
                          text=True, timeout=20)


def expect(what, ran, status, words):
    if ran.returncode != status or words not in ran.stdout + ran.stderr or \
            (not words and status == 0 and "refused" in ran.stdout):
        WRONG.append("%s: status %d, not %d with %r\n%s%s" % (
            what, ran.returncode, status, words, ran.stdout, ran.stderr))


def changes(folder):
    for old, new, mode, status, words in CASES:
        a = write(folder + "/old.json", rules(old))
        b = write(folder + "/new.json", rules(new))
        expect("%s %s -> %s" % (mode, old, new),
               run("schema", "check", a, b,
                   *(["--compatibility", mode] if mode else [])),
               status, words)
        b = write(folder + "/new.json", rules(
            new, **({"emit_compatibility": mode} if mode else {})))
        expect("against: %s %s -> %s" % (mode, old, new),
               run("check", b, "--against", a), status, words)


def files(folder):
    named = dict(EMIT, schema="s/order.v1.json")
    path = write(folder + "/rules.json", rules(named, EMIT))
    for text, name, words in UNUSABLE:
        for old in ("order.v1.json", "order.v2.json"):
            if os.path.exists(folder + "/s/" + old):
                os.unlink(folder + "/s/" + old)
        if text:
            write(folder + "/s/" + name, text)
        ran = run("check", write(folder + "/bad.json", rules(
            dict(EMIT, schema="s/" + name))))
        expect(name, ran, 2, words)
        if ":1:" not in ran.stderr.split(" ")[0]:
            WRONG.append("no place in the rules file: " + ran.stderr)
    write(folder + "/s/order.v1.json", ID_SCHEMA)
    expect("list", run("schema", "list", "--rules", path), 0,
           "shop.order.v1  urn:matapalo:emit:shop.order:v1  ")
    shown = run("schema", "show", "shop.order.v1", "--rules", path)
    if json.loads(shown.stdout) != ID_SCHEMA:
        WRONG.append("show: " + shown.stdout)
    expect("show", run("schema", "show", "x.v1", "--rules", path), 1,
           "no rule emits")
    other = dict(EMIT, schema="urn:shop:order:v1")
    expect("two", run("check", write(folder + "/bad.json",
                                     rules(named, other))), 2,
           "rules[1].emit[0].schema: rule \"r0\" gives")
    derived = run("schema", "show", "shop.order.v1", "--rules",
                  write(folder + "/plain.json", rules(EMIT)))
    shown = json.loads(derived.stdout)
    if shown["properties"]["n"] != {"type": "integer"} or \
            shown["properties"]["id"] != {} or \
            shown["$id"] != "urn:matapalo:emit:shop.order:v1":
        WRONG.append("derived: " + derived.stdout)


def directories(folder):
    made = [{"type": "string"}, {"type": ["string", "integer"]},
            {"type": "integer"}]
    for i, s in enumerate(made):
        write(folder + "/d/x.v%d.json" % (i + 9), s)
    new = write(folder + "/new.json", {"type": ["integer", "null"]})
    for words, status in (
            (("d", "new.json"), 0),
            (("d", "new.json", "BACKWARD_TRANSITIVE"), 1),
            (("d", "d"), 1), (("d", "d", "FORWARD"), 0),
            (("d", "d", "FORWARD_TRANSITIVE"), 1),
            (("d", "new.json", "NONE_TRANSITIVE"), 2)):
        ran = run("schema", "check", folder + "/" + words[0],
                  folder + "/" + words[1],
                  *(["--compatibility", words[2]] if words[2:] else []))
        expect(words, ran, status, "")
    write(folder + "/d/y.v12.json", {})
    expect("two names", run("schema", "check", folder + "/d", new), 2,
           "not versions of one")
    os.unlink(folder + "/d/y.v12.json")
    write(folder + "/d/x.json", {})
    expect("no version", run("schema", "check", folder + "/d", new), 2,
           "x.json is no version")
    expect("mixed", run("schema", "check",
                        write(folder + "/r.json", rules(EMIT)), new), 2,
           "cannot be compared")


def main():
    with tempfile.TemporaryDirectory() as folder:
        changes(folder)
        files(folder)
        directories(folder)
    print("\n".join(WRONG) or "%d changes, %d unusable files"
          % (len(CASES), len(UNUSABLE)))
    sys.exit(1 if WRONG else 0)


main()
