# SPDX-License-Identifier: Apache-2.0
"""What the demo's traffic did, a sentence or two an endpoint, in numbers of
`matapalo status --json`. Usage: story.py STATUS.json"""
import json
import sys
import textwrap


def passthrough(rule, _verdict):
    yield "The legacy answered all %(requests)d; nothing was recorded." % rule


def mirror(rule, _verdict):
    yield ("No rule names it: the legacy answered all %(requests)d, and each "
           "call is an event in the journal." % rule)


def shadow(rule, verdict):
    yield ("The legacy answered all %d; the new catalogue got a copy of "
           "each, after the caller had the answer." % rule["requests"])
    if verdict and verdict["samples"]:
        yield "%d of %d copies were answered alike, %.1f %%." % (
            verdict["matches"], verdict["samples"],
            100 * verdict["matches"] / verdict["samples"])
        for each in verdict["newest_differences"]:
            yield "%d times %s was different: not ready to move." % (
                each["count"], each["pointer"] or "the whole answer")


def canary(rule, _verdict):
    yield ("%.0f %% of the customers are to meet the new catalogue, always "
           "the same ones: it answered %d, the legacy %d." % (
               100 * rule["share"], rule["answered"]["target"],
               rule["answered"]["legacy"]))


def migrated(rule, _verdict):
    if rule["target"] == "orders":
        yield ("Each of the %d became a command on the bus. A Python script "
               "without any port, started for each, took it there; its "
               "reply was the caller's answer." % rule["answered"]["target"])
    else:
        yield ("The new catalogue answered %d of %d; should it fail, the "
               "legacy would." % (rule["answered"]["target"],
                                  rule["requests"]))


def retired(rule, _verdict):
    yield "matapalo itself said 410 Gone, %(requests)d times." % rule


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        status = json.load(file)
    verdicts = {v["rule"]: v for v in status["shadow"]["rules"]}
    for rule in status["rules"]["list"]:
        print("%-12s %s" % (rule["stage"], rule["path"] or "all others"))
        print(textwrap.fill(" ".join(globals()[rule["stage"]](
            rule, verdicts.get(rule["name"]))), 78, initial_indent="    ",
            subsequent_indent="    "))


if __name__ == "__main__":
    main()
