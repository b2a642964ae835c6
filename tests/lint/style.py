# SPDX-License-Identifier: Apache-2.0
"""Form: heads, widths, lengths, forbidden calls and words."""
import re
import statistics

import tree

COLUMNS = 80
NARROW = (".c", ".h", ".def", ".sh")
FUNCTION_MOST = 80
FILE_MOST = 600
FUNCTION_MEDIAN = 12
FUNCTION_P90 = 45
HEADER_MOST = 150

FORBIDDEN = {
    "strcpy": "memcpy, or a buf",
    "strcat": "a buf",
    "sprintf": "snprintf, or buf_printf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "alloca": "an arena",
    "assert": "INVARIANT",
    "system": "fork and execve, in console/",
    "popen": "fork and execve, in console/",
}
PROCESS_CALLS = ("system", "popen")
# Said in halves, so that this file keeps its own rule.
WORDS = {
    "TO" + "DO": "do it, or open an issue",
    "X" + "XX": "say what is wrong, or mend it",
    "/wo" + "rk/": "a path of one machine",
    "/tmp/" + "wt": "a path of one machine",
    "/ro" + "ot/": "a path of one machine",
}

def check_head(path, text):
    lines = text.split("\n")
    head = lines[:2] if lines[0].startswith("#!") else lines[:1]
    if "SPDX-License-Identifier: Apache-2.0" not in head[-1]:
        tree.problem(path, 1, "the first line is the SPDX line")
    elif path.endswith((".c", ".h", ".def")) and \
            not lines[1].startswith("/* "):
        tree.problem(path, 2, "one sentence of purpose stands here")


def check_lines(path, lines):
    for number, line in enumerate(lines, 1):
        width = len(line.expandtabs(8))
        if width > COLUMNS and path.endswith(NARROW):
            tree.problem(path, number, "%d columns" % width)
        if line != line.rstrip():
            tree.problem(path, number, "white space at the end")
        if line.startswith(" " * 8) and path.endswith((".c", ".h")):
            tree.problem(path, number, "indent with tabs")
        for word, instead in WORDS.items():
            if re.search(r"(?<!\w)" + re.escape(word) + r"(?!X)", line):
                tree.problem(path, number, "%s: %s" % (word, instead))


def check_calls(path, code):
    for number, line in enumerate(code.split("\n"), 1):
        for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", line):
            name = match.group(1)
            if name not in FORBIDDEN:
                continue
            if name in PROCESS_CALLS and \
                    tree.folder(path) in ("console", "tests"):
                continue
            tree.problem(path, number, "%s(): use %s"
                         % (name, FORBIDDEN[name]))


# A rule may have been moved since its file was read, by the kill-switch too:
# what decides asks rules_place(), or the decision's `place`.
FILES_PLACE = ("router/place.c", "proxy/promotion.c",
               "proxy/promotion_order.c", "proxy/promotion_status.c",
               "proxy/reload.c", "console/places.c", "console/rules.c")


def check_places(path, code):
    if tree.folder(path) not in ("router", "proxy", "console") or \
            path in FILES_PLACE:
        return
    for number, line in enumerate(code.split("\n"), 1):
        if re.search(r"\b(?:rule|u)->(?:stage|share_ppm)\b", line):
            tree.problem(path, number, "where the file has the rule: use its "
                         "place, which may be another")


def functions(lines):
    """Yields (name, first line, number of lines) of each function body."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield signature(lines, start) + (number,)
            start = None


def signature(lines, brace):
    for back in range(brace - 1, max(brace - 12, 0), -1):
        match = re.match(r"(?:START_TEST\()?(\w+)\b[()]", lines[back - 1])
        if match:
            return match.group(1), back
    return "?", brace


def check_functions(path, lines):
    lengths = []
    for name, first, last in functions(lines):
        length = last - first + 1
        lengths.append(length)
        if length > FUNCTION_MOST:
            tree.problem(path, first, "%s has %d lines, %d at most"
                         % (name, length, FUNCTION_MOST))
    for number, line in enumerate(lines, 1):
        if re.match(r"[a-z_].*\)\s*\{$", line):
            tree.problem(path, number, "a function's brace has its own line")
        elif line == "{" and number > 1 and \
                re.match(r"(static|const|struct|int|void|char|bool)\b.*\w\(",
                         lines[number - 2]):
            tree.problem(path, number - 1, "the return type has its own line")
    return lengths


def check_source(path):
    text = tree.read(path)
    lines = text.split("\n")
    check_head(path, text)
    check_lines(path, lines)
    if text and not text.endswith("\n"):
        tree.problem(path, len(lines), "the last line has no end")
    if not path.endswith((".c", ".h")):
        return []
    if len(lines) - 1 > FILE_MOST:
        # A long list of tests is still read one test at a time.
        tell = tree.warning if path.startswith("tests/") else (
            lambda text: tree.problem(path, 1, text))
        tell("%s: %d lines, %d at most; split it"
             % (path, len(lines) - 1, FILE_MOST))
    if path.endswith(".h") and len(lines) - 1 > HEADER_MOST:
        tree.warning("%s: %d lines, headers should stay below %d"
                     % (path, len(lines) - 1, HEADER_MOST))
    code = tree.without_comments(text)
    check_calls(path, code)
    check_places(path, code)
    return check_functions(path, code.split("\n"))


def report(name, lengths):
    if not lengths:
        return
    median = statistics.median(lengths)
    p90 = sorted(lengths)[len(lengths) * 9 // 10]
    print("%-10s %4d functions, median %g lines, p90 %d, longest %d"
          % (name, len(lengths), median, p90, max(lengths)))
    if median > FUNCTION_MEDIAN:
        tree.warning("%s: function median %g > %d"
                     % (name, median, FUNCTION_MEDIAN))
    if p90 > FUNCTION_P90:
        tree.warning("%s: function p90 %d > %d" % (name, p90, FUNCTION_P90))


def main():
    lengths = {}
    for path in tree.files(".c", ".h", ".def", ".am", ".ac", ".py", ".sh"):
        lengths.setdefault(tree.folder(path), []).extend(check_source(path))
    for name in sorted(lengths):
        report(name, lengths[name])
    tree.finish()


main()
