# SPDX-License-Identifier: Apache-2.0
"""Closed sets: each row has its sentence, each counter is counted, each
public function is met by a test."""
import re

import tree

SENTENCE = ("sentence", "help", "where")


def split_arguments(text):
    """The arguments of one row, from behind its parenthesis; string literals
    that stand side by side are joined."""
    depth, arguments, now, at = 0, [], "", 0
    while True:
        literal = re.compile(r'"(?:\\.|[^"\\])*"').match(text, at)
        if literal:
            now += literal.group(0)
            at = literal.end()
            continue
        c = text[at]
        if c == ")" and depth == 0:
            break
        if c == "," and depth == 0:
            arguments.append(now.strip())
            now = ""
        else:
            depth += {"(": 1, ")": -1}.get(c, 0)
            now += c
        at += 1
    arguments.append(now.strip())
    return [re.sub(r'"\s*"', "", a) for a in arguments]


def check_table(path):
    """The comment at the head names the columns: ROW(symbol, ..., sentence);
    a table whose last column is a sentence has one in each row."""
    text = tree.read(path)
    head = re.search(r"/\* ?(?:[^*]|\*(?!/))*?\b([A-Z]+)\(((?:[^)*]|\*(?!/))*)"
                     r"\)", text)
    if not head:
        tree.problem(path, 1, "the head comment names the columns: "
                     "ROW(symbol, ..., sentence)")
        return
    macro, last = head.group(1), head.group(2).split(",")[-1]
    last = re.sub(r"[\s*]+", " ", last).strip()
    rows = list(re.finditer(r"^%s\(" % macro, text, re.M))
    if not rows:
        tree.problem(path, 1, "no row %s(...)" % macro)
    if not last.startswith(SENTENCE):
        return
    for row in rows:
        words = split_arguments(text[row.end():])[-1]
        if not re.match(r'"[^"]+ [^"]+', words):
            tree.problem(path, text.count("\n", 0, row.start()) + 1,
                         "the row has no sentence: %s" % words)


def sources(*folders):
    return {path: tree.without_comments(tree.read(path))
            for path in tree.files(".c", ".h")
            if (tree.folder(path) in folders) == bool(folders)}


def unfinished(path, line, text):
    """What fails once everything is in (STRICT_LINT=1)."""
    if tree.STRICT:
        tree.problem(path, line, text)
    else:
        tree.warning("%s:%d: %s" % (path, line, text))


def check_counters():
    path = "base/counters.def"
    code = "\n".join(text for name, text in sources(
        *[f for f in tree.LAYERS if f not in ("base", "tests")]).items())
    # A family is counted by arithmetic: COUNTER_STAGE_PASSTHROUGH + stage.
    pasted = tuple(re.findall(r"\bCOUNTER_([A-Z]+_)[A-Z_]+ \+", code) +
                   re.findall(r"\bCOUNTER_(\w*?)\s*##", code))
    text = tree.read(path)
    for row in re.finditer(r"^COUNTER\((\w+)", text, re.M):
        symbol = row.group(1)
        if not re.search(r"\bCOUNTER_%s\b" % symbol, code) and \
                not (pasted and symbol.startswith(pasted)):
            unfinished(path, text.count("\n", 0, row.start()) + 1,
                       "COUNTER_%s is counted nowhere" % symbol)


def check_public_functions():
    """A header's functions are met by name in tests/, or are used by a
    source that tests run as a whole: hence advice only."""
    tests = "\n".join(sources("tests").values())
    for path, text in sources(*[f for f in tree.LAYERS if f != "tests"]
                              ).items():
        if path != "%s/%s.h" % (tree.folder(path), tree.folder(path)) and \
                tree.folder(path) != "base":
            continue
        for match in re.finditer(r"^[a-zA-Z_][\w \t*]*?[ *](\w+)\([^;{]*\)"
                                 r"[^;{]*;", text, re.M):
            if path.endswith(".h") and \
                    not re.search(r"\b%s\b" % match.group(1), tests):
                tree.warning("%s:%d: no test calls %s"
                             % (path, text.count("\n", 0, match.start()) + 1,
                                match.group(1)))


def main():
    for path in tree.files(".def"):
        check_table(path)
    check_counters()
    check_public_functions()
    tree.finish()


main()
