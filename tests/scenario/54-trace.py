# SPDX-License-Identifier: Apache-2.0
"""Trace context: a valid one goes on and into events, an invalid one goes on
as it came and into no event, and `trace` starts one that both have."""
import json

import lib

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = "00-%s-%s-01" % (TRACE, PARENT)
LONG = ",".join("k%02d=%s" % (i, "x" * 96) for i in range(8))
# What is sent: traceparent lines, tracestate lines; what events have.
CASES = (
    ([VALID], [], VALID, None),
    ([VALID], ["a=1", "b=2,c=3"], VALID, "a=1,b=2,c=3"),
    ([VALID], ["a=1,a=2"], VALID, None),
    ([VALID], [LONG], VALID, LONG[:504]),
    (["cc-%s-%s-09-x" % (TRACE, PARENT)], ["a=1"], VALID, "a=1"),
    ([VALID, VALID], ["a=1"], None, None),
    (["ff-%s-%s-01" % (TRACE, PARENT)], ["a=1"], None, None),
    (["00-%s-%s-01" % ("0" * 32, PARENT)], ["a=1"], None, None),
    (["00-%s-%s-01" % (TRACE, "0" * 16)], [], None, None),
    ([VALID.upper()], [], None, None),
    ([VALID[:-1]], [], None, None),
    ([VALID + "0"], [], None, None),
    (["junk"], ["a=1"], None, None),
    ([], ["a=1"], None, None),
    ([], [], None, None),
)


class Legacy:
    def __init__(self, case):
        self.heads = {}
        self.app = lib.App(case, self.answer)

    def answer(self, _method, path, headers, _body):
        self.heads[path] = [headers.get_all(name, []) for name in
                            ("traceparent", "tracestate")]
        return 200, {}


def start(case, legacy, *args):
    return case.matapalo(args=args, rules=case.rules({
        "version": 1, "targets": {"legacy": {"url": legacy.app.url}},
        "rules": [{"name": "all", "match": {"path": "/{rest...}"},
                   "emit": [{"type": "shop.made.v1", "data": {}}]}]}))


def send_all(matapalo):
    """GET is bounded; POST is strict, and has a request event."""
    for i, (parents, states, _, _) in enumerate(CASES):
        fields = [("Traceparent", p) for p in parents] + \
            [("tracestate", s) for s in states]
        with lib.Client(matapalo.port) as client:
            client.request("GET", "/%d" % i, None, fields)
            client.request("POST", "/p%d" % i, b"{}", fields)
    matapalo.await_exchanges(2 * len(CASES))


def events(matapalo):
    """{correlationid: [(type, target, extensions)]}, in order."""
    found = {}
    for correlation, kind, target, extensions in matapalo.query(
            "SELECT e.correlation, t.text, e.data ->> '$.request.target', "
            "e.extensions FROM event e JOIN name t ON t.id = e.type "
            "ORDER BY e.seq"):
        found.setdefault(correlation, []).append(
            (kind, target, json.loads("{%s}" % (extensions or ""))))
    return found.values()


def traces(case, matapalo):
    """{target: (traceparent, tracestate)}, the same in all its events."""
    found = {}
    for group in events(matapalo):
        target = group[0][1]
        kinds = [kind for kind, _, _ in group]
        case.equal(kinds, (["matapalo.request.v1"] if "p" in target else [])
                   + ["matapalo.exchange.v1", "shop.made.v1"], target)
        said = {(e.get("traceparent"), e.get("tracestate"))
                for _, _, e in group}
        case.equal(len(said), 1, "one trace in %s: %s" % (target, said))
        found[target] = said.pop()
    return found


def transparent(case, legacy):
    matapalo = start(case, legacy)
    send_all(matapalo)
    found = traces(case, matapalo)
    for i, (parents, states, parent, state) in enumerate(CASES):
        for target in ("/%d" % i, "/p%d" % i):
            case.equal(legacy.heads[target], [parents, states],
                       "forwarded as it came: " + target)
            case.equal(found[target], (parent, state), "events " + target)
    metrics = matapalo.metrics()
    case.equal((metrics['matapalo_traces_total{parent="started"}'],
                metrics['matapalo_traces_total{parent="invalid"}']),
               (0, 2 * sum(1 for c in CASES if c[0] and not c[2])), "counted")
    case.equal(matapalo.stop(), 0, "exit status")


def started(case, legacy, word, flags):
    matapalo = start(case, legacy, "--trace", word)
    send_all(matapalo)
    found, seen = traces(case, matapalo), set()
    for i, (parents, states, parent, state) in enumerate(CASES):
        for target in ("/%d" % i, "/p%d" % i):
            if parent:
                case.equal(legacy.heads[target], [parents, states], target)
                case.equal(found[target], (parent, state), target)
                continue
            sent = legacy.heads[target]
            case.equal((len(sent[0]), sent[1]), (1, []), "ours alone")
            version, trace, own, said = sent[0][0].split("-")
            case.equal((version, len(trace), len(own), said),
                       ("00", 32, 16, flags), sent[0][0])
            case.equal(found[target], (sent[0][0], None), "events " + target)
            seen.add(trace)
    case.equal(len(seen), 2 * sum(1 for c in CASES if not c[2]),
               "a trace for each request")
    case.equal(matapalo.metrics()['matapalo_traces_total{parent="started"}'],
               len(seen), "counted")
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    legacy = Legacy(case)
    transparent(case, legacy)
    started(case, legacy, "sampled", "03")
    started(case, legacy, "unsampled", "02")
    refused = lib.command("run", "--legacy", legacy.app.url, "--trace", "on")
    case.check(refused.returncode == 2 and "none of off" in refused.stderr,
               refused.stderr)


lib.main(scenario)
