# SPDX-License-Identifier: Apache-2.0
"""Every operation of the bus has a section in docs/bus-protocol.md and a step
in tests/bus/vectors that sends it and says what comes back."""
import json
import os
import re

import tree

OPS = "bus/ops.def"
PAGE = "docs/bus-protocol.md"
VECTORS = "tests/bus/vectors"


def operations():
    text = tree.read(OPS)
    for row in re.finditer(r"^OP\((\w+)", text, re.M):
        yield row.group(1), text.count("\n", 0, row.start()) + 1


def operations_with_vectors():
    sent = set()
    for name in sorted(os.listdir(os.path.join(tree.TOP, VECTORS))):
        for step in json.loads(tree.read(VECTORS + "/" + name))["steps"]:
            if step.get("expect", {}).get("ok") is True and "send" in step:
                sent.add(step["send"].get("op"))
    return sent


def main():
    page, sent = tree.read(PAGE), operations_with_vectors()
    for name, line in operations():
        if name not in sent:
            tree.problem(OPS, line, "%s: no step of %s sends it with "
                         "success" % (name, VECTORS))
        if "**%s**" % name not in page:
            tree.problem(OPS, line, "%s: %s has no section" % (name, PAGE))
    for name in sorted(sent - {name for name, _ in operations()}):
        tree.problem(VECTORS, 1, "%s is no operation" % name)
    tree.finish()


main()
