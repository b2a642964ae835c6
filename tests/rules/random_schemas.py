# SPDX-License-Identifier: Apache-2.0
"""Random pairs of schemas: what `schema check` calls compatible, an
independent validator must not refute with any generated value."""
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    from jsonschema import Draft202012Validator as Validator
    from jsonschema.exceptions import SchemaError
except ImportError:
    print("python3-jsonschema is missing: skipped")
    sys.exit(77)

MATAPALO = os.environ["MATAPALO"]
PAIRS = int(os.environ.get("SCHEMA_PAIRS", "60"))
SEED = int(os.environ.get("SCHEMA_SEED", "1"))
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
ATOMS = [None, True, False, 0, 1, -1, 2, 3, 1.5, 2.0, "", "a", "ab", "abc"]
NAMES = ["a", "b", "x-c"]


def keywords(r, depth):
    inner = (lambda: schema(r, depth - 1)) if depth else (lambda: True)
    some = lambda: [inner() for _ in range(r.randint(1, 3))]
    return {
        "type": lambda: r.choice([r.choice(TYPES), r.sample(TYPES, 2)]),
        "enum": lambda: r.sample(ATOMS, r.randint(1, 4)),
        "const": lambda: r.choice(ATOMS),
        "minimum": lambda: r.choice([-1, 0, 0.5, 1, 2]),
        "maximum": lambda: r.choice([0, 1, 1.5, 2, 3]),
        "exclusiveMinimum": lambda: r.choice([-1, 0, 1]),
        "exclusiveMaximum": lambda: r.choice([1, 2, 3]),
        "multipleOf": lambda: r.choice([1, 2, 3]),
        "minLength": lambda: r.randint(0, 2),
        "maxLength": lambda: r.randint(0, 3),
        "pattern": lambda: r.choice(["^a", "b$"]),
        "minItems": lambda: r.randint(0, 2),
        "maxItems": lambda: r.randint(0, 2),
        "uniqueItems": lambda: True,
        "items": inner, "prefixItems": some, "contains": inner,
        "required": lambda: r.sample(NAMES, r.randint(1, 2)),
        "properties": lambda: {n: inner() for n in
                               r.sample(NAMES, r.randint(1, 2))},
        "patternProperties": lambda: {r.choice(["^x-", "a"]): inner()},
        "additionalProperties": lambda: r.choice([False, inner()]),
        "minProperties": lambda: r.randint(0, 2),
        "maxProperties": lambda: r.randint(0, 2),
        "allOf": some, "anyOf": some, "oneOf": some, "not": inner,
        "$ref": lambda: "#/$defs/" + r.choice(["d", "e"]),
    }


def schema(r, depth):
    if r.random() < 0.1:
        return r.random() < 0.8
    made = keywords(r, depth)
    return {k: made[k]() for k in r.sample(sorted(made), r.randint(1, 3))}


def document(r):
    s = schema(r, 2)
    s = s if isinstance(s, dict) else {"type": "object"}
    s["$defs"] = {"d": {"type": r.choice(TYPES)},
                  "e": {"enum": r.sample(ATOMS, 3)}}
    return s


def changed(r, s):
    """A copy with a keyword added, taken away or drawn anew somewhere."""
    s = json.loads(json.dumps(s))
    at = s
    while r.random() < 0.5:
        inside = [x for v in at.values() for x in
                  (v.values() if isinstance(v, dict) else
                   v if isinstance(v, list) else [])
                  if isinstance(x, dict)]
        inside += [v for k, v in at.items() if isinstance(v, dict) and
                   k in ("items", "not", "additionalProperties", "contains")]
        if not inside:
            break
        at = r.choice(inside)
    made = keywords(r, 1)
    key = r.choice([k for k in made if k in at] or sorted(made))
    if r.random() < 0.4:
        key = r.choice(sorted(made))
    if key in at and r.random() < 0.6:
        del at[key]
    else:
        at[key] = made[key]()
    return s


def value(r, depth=2):
    x = r.random()
    if depth == 0 or x < 0.5:
        return r.choice(ATOMS)
    if x < 0.7:
        return [value(r, depth - 1) for _ in range(r.randint(0, 3))]
    return {n: value(r, depth - 1) for n in
            r.sample(NAMES + ["z"], r.randint(0, 3))}


def takes(validator, v):
    try:
        return validator.is_valid(v)
    except RecursionError:
        return None


def says_yes(folder, old, new):
    paths = []
    for name, s in (("old", old), ("new", new)):
        paths.append(os.path.join(folder, name + ".json"))
        with open(paths[-1], "w") as f:
            json.dump(s, f)
    ran = subprocess.run([MATAPALO, "schema", "check"] + paths, timeout=20,
                         capture_output=True, text=True)
    if ran.returncode == 2 and "must be" in ran.stderr:
        return False        # a change made it no schema
    if ran.returncode not in (0, 1) or (ran.returncode == 1) != bool(
            ran.stdout):
        sys.exit("status %d: %s%s\nold %s\nnew %s"
                 % (ran.returncode, ran.stdout, ran.stderr, old, new))
    return ran.returncode == 0


def main():
    r = random.Random(SEED)
    yes = wrong = refuted = 0
    values = [value(r) for _ in range(150 if PAIRS <= 200 else 600)]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(PAIRS):
            old = document(r)
            new = changed(r, old) if r.random() < 0.9 else document(r)
            ok = says_yes(folder, old, new)
            try:
                a, b = Validator(old), Validator(new)
                Validator.check_schema(new)
            except SchemaError:
                continue
            bad = [v for v in values if takes(a, v) and takes(b, v) is False]
            yes += ok
            refuted += bool(bad)
            if ok and bad:
                wrong += 1
                print("called compatible, but %s:\nold %s\nnew %s"
                      % (json.dumps(bad[0]), json.dumps(old),
                         json.dumps(new)))
    print("%d pairs: %d compatible, %d refuted by a value, %d of both"
          % (PAIRS, yes, refuted, wrong))
    sys.exit(1 if wrong or yes < PAIRS // 10 else 0)


main()
