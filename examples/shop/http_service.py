# SPDX-License-Identifier: Apache-2.0
"""A small JSON service on the standard library: routes are functions."""
import json
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def make_handler(name, routes):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        server_version = name

        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            path = self.path.split("?")[0]
            for method, pattern, function in routes:
                found = re.fullmatch(pattern, path)
                if found and method == self.command:
                    return self.send(*function(body, *found.groups()))
            return self.send(404, {"error": "no such thing"})

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def send(self, status, value):
            data = json.dumps(value).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler


def serve(name, routes):
    """Serves on 127.0.0.1, port from the command line (0: any), prints it."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = Server(("127.0.0.1", port), make_handler(name, routes))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(server.server_port, flush=True)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
