# SPDX-License-Identifier: Apache-2.0
"""Promise H5, path rules cannot be bypassed: whatever way a path is written,
it reaches the secret part of an origin only through the rule of that part, as
each real web server reads it."""
import itertools
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import judge  # noqa: E402
import origins  # noqa: E402
from judge import lib  # noqa: E402
from recorder import Recorder  # noqa: E402

# How the way up, a slash and the word itself may be written.
UPS = ["..", "%2e%2e", ".%2e", "%2E.", "..;", "..;x", "%252e%252e",
       "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "..%00", "...", ". .", "%2e%2e;",
       "%u002e%u002e", "%uff0e%uff0e", ".%00."]
SLASHES = ["/", "%2f", "%2F", "%5c", "//", "/./", "/;/", "%252f", "%c0%af",
           "/%2e/", "%2f/", "/;x=/", "%00/", "/%00"]
WORDS = ["secret", "%73ecret", "secre%74", "%53ecret", "SECRET", "secret.",
         "secret;x", "secret%00", "secret%20", "secret%2e", "secret%3b",
         "s%65cret", "secret%09", "%2573ecret", "secret%2f", "secret%23"]


def paths():
    """At least 2,000 ways to say /secret/x."""
    for up, a, b, word in itertools.product(UPS, SLASHES, SLASHES, WORDS[:3]):
        yield "/open" + a + up + b + word + "/x"
    for word, a, b in itertools.product(WORDS, SLASHES, SLASHES):
        yield a + word + b + "x" if a.startswith("/") else \
            "/" + a + word + b + "x"
    for word, up in itertools.product(WORDS, UPS):
        yield "/" + word + "/" + up + "/" + word + "/x"
        yield "/" + up + "/" + word + "/x"


def servers_reading(raw):
    """Decoded, params kept, empty segments merged, dots resolved: how web
    servers map a path to what they serve."""
    path = urllib.parse.unquote_to_bytes(raw.split("?")[0])
    out = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            out[-1:] = []
        elif segment not in (b"", b"."):
            out.append(segment)
    return b"/" + b"/".join(out)


# Which part of its tree a web server serves a path from, in its own words.
NGINX = """
daemon off; master_process off; pid %(dir)s/pid; error_log %(dir)s/error;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p;
  fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u;
  scgi_temp_path %(dir)s/s; keepalive_requests 999999;
  server {
    listen 127.0.0.1:%(port)d;
    location / { return 200 "open"; }
    location /secret/ { return 200 "secret"; }
  } }
"""
LIGHTTPD = """
server.modules = ( "mod_setenv", "mod_rewrite" )
server.bind = "127.0.0.1"
server.port = %(port)d
server.document-root = "%(dir)s"
server.errorlog = "%(dir)s/error"
server.max-keep-alive-requests = 10000
$HTTP["url"] =~ "^/secret/" {
  setenv.add-response-header = ( "Part" => "secret" )
}
"""
APACHE = """
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
ServerName x
Listen 127.0.0.1:%(port)d
PidFile %(dir)s/pid
ErrorLog %(dir)s/error
Mutex file:%(dir)s
DocumentRoot %(dir)s
MaxKeepAliveRequests 0
AllowEncodedSlashes On
StartServers 1
ServerLimit 1
ThreadLimit 32
ThreadsPerChild 32
MaxRequestWorkers 32
<Location "/secret/">
  Header always set Part secret
</Location>
"""
KINDS = [
    ("nginx", NGINX, ["-c", "%(conf)s", "-p", "%(dir)s", "-e",
                      "%(dir)s/error"]),
    ("lighttpd", LIGHTTPD, ["-D", "-f", "%(conf)s"]),
    ("apache2", APACHE, ["-X", "-d", "%(dir)s", "-f", "%(conf)s"])]


def start_server(case, name, conf, args):
    program = origins.has(name)()
    if not program:
        print("%s is not installed" % name)
        return None
    folder, port = case.path("paths-" + name), origins.free_port()
    os.mkdir(folder)
    values = {"dir": folder, "port": port,
              "conf": os.path.join(folder, "conf")}
    with open(values["conf"], "w") as f:
        f.write(conf % values)
    process = case.start(name, [program] + [a % values for a in args])

    def ready():
        try:
            return judge.Talk(port, judge.plain("/", "Connection: close"),
                              5).heard
        except OSError:
            return None
    lib.wait_for(ready, name + " to answer")
    return process, "http://127.0.0.1:%d" % port


def is_secret(talk):
    return b"\r\nPart: secret\r\n" in talk.heard or \
        talk.heard.endswith(b"\r\n\r\nsecret")


def retired(case, url):
    rules = {"version": 1, "targets": {"legacy": {"url": url}},
             "default": {"stage": "passthrough"},
             "rules": [{"name": "secret", "stage": "retired",
                        "match": {"path": "/secret/{rest...}"}}]}
    return case.matapalo(rules=case.rules(rules,
                                          case.unique("rules.json")))


def check_recorded(case, ways):
    """The legacy never gets what servers read as the secret part."""
    recorder = Recorder(case)
    matapalo = retired(case, recorder.url)
    counts = {}
    for way in ways:
        talk = judge.Talk(matapalo.port, judge.plain(
            way, "Connection: close"), 5)
        status = talk.statuses()[0]
        counts[status] = counts.get(status, 0) + 1
    for reading in recorder.readings:
        target = reading.target.decode("latin-1")
        case.check(not servers_reading(target).startswith(b"/secret/"),
                   "the legacy got %s" % target)
    print("%d ways: answers %s" % (len(ways), counts))
    case.check(counts.get(200, 0) > 0 and counts.get(410, 0) > 0,
               "some pass, some are retired: %s" % counts)
    for good in ("/secretary/x", "/open/secret/x", "/open/100%25", "/open;a",
                 "/open//x", "/projects/a%2Fb", "/open/%zz"):
        case.equal(judge.Talk(matapalo.port, judge.plain(
            good, "Connection: close"), 5).statuses(), [200], good)
    case.equal(matapalo.stop(), 0, "exit status")


def check_server(case, name, conf, args, ways):
    started = start_server(case, name, conf, args)
    if not started:
        return
    process, url = started
    matapalo = retired(case, url)
    passed = 0
    for way in ways:
        talk = judge.Talk(matapalo.port, judge.plain(
            way, "Connection: close"), 5)
        passed += talk.statuses()[:1] not in ([400], [410])
        case.check(not is_secret(talk), "%s served %s: %r"
                   % (name, way, talk.heard[:200]))
    print("%s: %d ways, %d passed, none to the secret part"
          % (name, len(ways), passed))
    direct = judge.Talk(int(url.rsplit(":", 1)[1]), judge.plain(
        "/open/../secret/x", "Connection: close"), 5)
    case.check(is_secret(direct), "%s serves it when asked directly" % name)
    case.equal(matapalo.stop(), 0, "exit status")
    process.kill_group()


def scenario(case):
    ways = sorted(set(paths()))
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    case.check(len(ways[::every]) >= 2000, "%d ways" % len(ways))
    check_recorded(case, ways[::every])
    for name, conf, args in KINDS:
        check_server(case, name, conf, args, ways[::every])


lib.main(scenario, seconds=300)
