# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone and twice, and its guard is its path."""
import os
import re
import shlex
import subprocess
import sys

import tree

CC = shlex.split(os.environ.get("LINT_CC", "cc"))
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
CPPFLAGS = shlex.split(os.environ.get("LINT_CPPFLAGS", "")) or \
    ["-I" + tree.TOP, "-D_GNU_SOURCE"]


def compiles(path):
    source = '#include "%s"\n#include "%s"\nextern int not_empty;\n' \
        % (path, path)
    run = subprocess.run(CC + FLAGS + CPPFLAGS + ["-x", "c", "-"],
                         input=source, capture_output=True, text=True)
    if run.returncode != 0:
        tree.problem(path, 1, "does not compile alone:\n" + run.stderr)


def has_guard(path):
    guard = re.sub(r"[^A-Z0-9]", "_", path.upper())
    text = tree.read(path)
    if "#ifndef %s\n#define %s\n" % (guard, guard) not in text:
        tree.problem(path, 1, "guard should be " + guard)


def have_compiler():
    try:
        return subprocess.run(CC + ["--version"],
                              capture_output=True).returncode == 0
    except OSError:
        return False


def main():
    if not have_compiler():
        print("no compiler: skipped")
        sys.exit(77)
    for path in tree.files(".h"):
        has_guard(path)
        compiles(path)
    tree.finish()


main()
