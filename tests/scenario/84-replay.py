# SPDX-License-Identifier: Apache-2.0
"""Replay and dead letters from the command line, with a real matapalo and real
consumers: to a group, to standard output, at a pace, interrupted, offline."""
import json
import os
import signal
import subprocess
import time

import lib
import nng

N = 30


def publish(bus, n):
    return [bus.call("publish", type="shop.a.v1" if i % 3 else "shop.b.v1",
                     subject="order/%d" % i,
                     data={"n": i, "big": 12345678901234567890})["sequence"]
            for i in range(n)]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def to_stdout(case, matapalo, sequences):
    """From the file and over the bus: the same bytes, as they are stored."""
    file = matapalo.command("replay", "--from", "oldest", "--type", "shop.*")
    bus = matapalo.command("replay", "--from", "oldest", "--type", "shop.*",
                           "--bus", matapalo.bus)
    case.equal((file.returncode, bus.returncode), (0, 0), "exit status")
    case.equal(file.stdout, bus.stdout, "the file and the bus")
    case.check("12345678901234567890" in bus.stdout, "numbers as they were")
    events = lines(file.stdout)
    case.equal([int(e["sequence"]) for e in events], sequences, "all events")
    some = matapalo.command("replay", "--from", str(sequences[3]), "--to",
                            str(sequences[8]), "--type", "shop.b.v1")
    case.equal([e["data"]["n"] for e in lines(some.stdout)], [3, 6],
               "a part, filtered")
    middle = events[9]["time"]
    late = matapalo.command("replay", "--from", middle)
    early = matapalo.command("replay", "--from", "oldest", "--to", middle,
                             "--type", "shop.*", "--bus", matapalo.bus)
    case.equal(lines(late.stdout)[0]["data"]["n"], 9, "from a time")
    case.equal([e["data"]["n"] for e in lines(early.stdout)],
               list(range(9)), "to a time")
    none = matapalo.command("replay", "--from", "99999")
    case.equal(none.returncode, 2, "from beyond the end")
    case.check("the newest is" in none.stderr, none.stderr)


def at_a_pace(case, matapalo):
    """The pauses are those between the events."""
    begin = time.monotonic()
    out = matapalo.command("replay", "--from", "oldest", "--type", "slow.v1",
                           "--pace", "original")
    original = time.monotonic() - begin
    times = [e["data"]["at"] for e in lines(out.stdout)]
    span = times[-1] - times[0]
    case.check(span <= original < span + 2,
               "original pace: %.2f s for %.2f" % (original, span))
    begin = time.monotonic()
    matapalo.command("replay", "--from", "oldest", "--type", "slow.v1",
                     "--pace", "100x")
    case.check(time.monotonic() - begin < original, "a hundred times as fast")
    begin = time.monotonic()
    out = matapalo.command("replay", "--from", "oldest", "--type", "shop.*",
                           "--limit", "9", "--pace", "50/s")
    case.equal(out.returncode, 2, "an option of another command")
    out = matapalo.command("replay", "--from", "oldest", "--type", "shop.*",
                           "--pace", "50/s")
    case.check(time.monotonic() - begin >= (N - 1) / 50, "50 a second")


def interrupted(case, matapalo, sequences):
    """SIGINT: whole lines, and where to go on."""
    p = subprocess.Popen([lib.MATAPALO, "replay", "--data", matapalo.data,
                          "--from", "oldest", "--type", "shop.*",
                          "--pace", "10/s"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    first = p.stdout.readline()
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=10)
    case.equal(p.returncode, 1, "exit status after SIGINT")
    seen = lines(first + out)
    again = "go on with --from %d" % (int(seen[-1]["sequence"]) + 1)
    case.check(again in err, err)
    rest = matapalo.command("replay", "--type", "shop.*", "--from",
                            again.rsplit(" ", 1)[1])
    case.equal([int(e["sequence"]) for e in seen + lines(rest.stdout)],
               sequences, "before and after the interrupt")
    p = subprocess.Popen([lib.MATAPALO, "replay", "--data", matapalo.data,
                          "--from", "oldest"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.stdout.close()
    case.equal(p.wait(10), 0, "exit status when nobody reads on")
    case.equal(p.stderr.read(), "", "no words about it")
    p.stderr.close()


def blocked(case, matapalo, bus):
    """A pipe that nobody empties does not keep SIGINT away."""
    for _ in range(4):
        bus.call("publish", type="big.v1", data="x" * 60000)
    p = subprocess.Popen([lib.MATAPALO, "replay", "--data", matapalo.data,
                          "--from", "oldest", "--type", "big.v1"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stat = "/proc/%d/wchan" % p.pid
    lib.wait_for(lambda: os.path.exists(stat) and
                 "poll" in open(stat).read(), "a full pipe")
    p.send_signal(signal.SIGINT)
    case.equal(p.wait(10), 1, "exit status with a full pipe")
    p.stdout.close()
    p.stderr.close()


# ---- to a group -----------------------------------------------------------

def drain(bus, group, n):
    got = []
    while len(got) < n:
        d = bus.call("fetch", group=group, consumer="c", wait_ms=3000,
                     acks=[x["sequence"] for x in got[-100:]])["events"]
        if not d:
            break
        got += d
    bus.call("fetch", group=group, consumer="c", max=0,
             acks=[x["sequence"] for x in got[-100:]])
    return got


def to_group(case, matapalo, bus, sequences):
    """Only that group, the same ids, its place unchanged."""
    first = {g: drain(bus, g, N) for g in ("one", "two")}
    case.equal([d["sequence"] for d in first["one"]], sequences, "first time")
    before = {g["name"]: g["cursor"] for g in bus.call("groups")["groups"]}
    out = matapalo.command("replay", "--from", str(sequences[0]), "--group",
                           "one", "--type", "shop.a.v1")
    case.equal(out.stdout, "20 replayed of group one\n", "what it says")
    again = drain(bus, "one", 20)
    case.check(all(d["replayed"] and d["redelivered"] and d["attempt"] == 1
                   for d in again), "marked")
    ids = {d["sequence"]: d["event"]["id"] for d in first["one"]}
    case.equal([(d["sequence"], d["event"]["id"]) for d in again],
               [(n, ids[n]) for i, n in enumerate(sequences) if i % 3],
               "the same events")
    case.equal(bus.call("fetch", group="two", consumer="c")["events"], [],
               "nothing for the other group")
    after = {g["name"]: g["cursor"] for g in bus.call("groups")["groups"]}
    case.check(after["one"] >= before["one"], "the place in the log")
    none = matapalo.command("replay", "--from", "1", "--group", "nobody")
    case.equal(none.returncode, 1, "an unknown group")
    case.check("there is no group" in none.stderr, none.stderr)


def over_a_restart(case, matapalo, bus, sequences):
    """A slow replay goes on in the next life, and is cancelled there."""
    out = matapalo.command("replay", "--from", str(sequences[0]), "--group",
                           "one", "--pace", "4/s", "--detach")
    number = out.stdout.split(";")[0].split()[1]
    lib.wait_for(lambda: bus.call("jobs", id=int(number))["replayed"] > 1,
                 "progress")
    bus.close()
    matapalo.kill_group()
    again = case.matapalo(legacy="http://127.0.0.1:9", data=matapalo.data)
    bus = nng.Bus(again.bus)
    at = bus.call("jobs", id=int(number))["job"]
    case.equal(at["state"], "running", "the job after a kill")
    lib.wait_for(lambda: bus.call("jobs", id=int(number))["replayed"] >
                 at["moved"], "more progress")
    shown = again.command("dlq", "redrives")
    case.check("replay" in shown.stdout and "running" in shown.stdout,
               shown.stdout)
    out = again.command("dlq", "cancel", number)
    case.check("cancelled" in out.stdout, out.stdout + out.stderr)
    moved = bus.call("jobs", id=int(number))["replayed"]
    new = 3 + 4     # published since
    got = [d["sequence"] for d in drain(bus, "one", moved + new)
           if d.get("replayed")]
    case.equal(got, sequences[:moved], "what was moved comes, the rest does "
               "not")
    return again, bus


def letters(case, matapalo, bus):
    """Consumers that fail, and an operator who mends."""
    c = case.consume(matapalo, "mail", "sys.exit('smtp: ' + event['subject'])",
                     ["--type", "shop.b.v1", "--max-attempts", "1",
                      "--idle-exit", "1s"])
    case.equal(c.wait(30), 0, "the consumer that fails")
    def dead():
        return bus.call("dlq_list", group="mail")["dead"]
    lib.wait_for(lambda: len(dead()) == N // 3, "dead letters")
    out = matapalo.command("dlq", "list", "--json", "--reason", "ORDER/12")
    case.equal([x["subject"] for x in lines(out.stdout)], ["order/12"],
               "found by its reason")
    page = matapalo.command("dlq", "list", "--json", "--limit", "4")
    case.equal(len(lines(page.stdout)), 4, "a page")
    after = page.stderr.split("--after ")[1].strip()
    rest = matapalo.command("dlq", "list", "--json", "--after", after)
    case.equal(len(lines(rest.stdout)), N // 3 - 4, "the other pages")
    out = matapalo.command("dlq", "purge", "--reason", "order/12")
    case.equal(out.returncode, 2, "a purge without --yes")
    out = matapalo.command("dlq", "purge", "--reason", "order/12", "--yes")
    case.equal(out.stdout, "1 purged\n", "a purge")
    p = subprocess.Popen([lib.MATAPALO, "dlq", "redrive", "all", "--group",
                          "mail", "--rate", "2", "--data", matapalo.data],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    lib.wait_for(lambda: len(dead()) < N // 3 - 1, "the first redriven")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=10)
    case.equal(p.returncode, 1, "an interrupted redrive")
    case.check("was cancelled after" in err, err)
    out = matapalo.command("dlq", "redrive", "all", "--group", "mail")
    case.equal(out.returncode, 0, "redrive: " + out.stderr)
    case.equal(dead(), [], "no dead letters left")
    done = case.path("done")
    c = case.consume(matapalo, "mail", "open(%r, 'a').write(event['subject'] "
                     "+ '\\n')" % done, ["--limit", str(N // 3 - 1)])
    case.equal(c.wait(30), 0, "the consumer that works")
    with open(done) as f:
        subjects = f.read().split()
    case.equal(sorted(subjects), sorted("order/%d" % i for i in range(0, N, 3)
                                        if i != 12), "each once")


def slow_events(bus):
    """With pauses of their own: times are of the publication."""
    for pause in (0, 0.3, 0.4):
        lib.threading.Event().wait(pause)
        bus.call("publish", type="slow.v1", data={"at": time.time()})


def scenario(case):
    if not nng.LIB:
        lib.skip("no libnng.so")
    matapalo = case.matapalo(legacy="http://127.0.0.1:9")
    bus = nng.Bus(matapalo.bus)
    sequences = publish(bus, N)
    to_stdout(case, matapalo, sequences)
    interrupted(case, matapalo, sequences)
    to_group(case, matapalo, bus, sequences)
    letters(case, matapalo, bus)
    slow_events(bus)
    at_a_pace(case, matapalo)
    blocked(case, matapalo, bus)
    matapalo, bus = over_a_restart(case, matapalo, bus, sequences)
    bus.close()
    case.equal(matapalo.stop(), 0, "exit status")
    offline = matapalo.command("replay", "--from", "oldest", "--type",
                               "shop.*")
    case.equal(len(lines(offline.stdout)), N, "without a process")


lib.main(scenario)
