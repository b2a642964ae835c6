# SPDX-License-Identifier: Apache-2.0
"""Python's servers: each tells method, target and body of each request.

Usage: echo_app.py SERVER PORT; without a port it prints its version.
"""
import os
import sys


def line(method, target, body):
    if isinstance(method, str):
        method = method.encode("latin-1")
    if isinstance(target, str):
        target = target.encode("utf-8", "surrogateescape")
    text = "%s %s %s\n" % (method.hex(), target.hex(), body.hex() or "-")
    os.write(1, text.encode())      # before the answer, and unbuffered
    return text.encode()


def wsgi(environ, start_response):
    target = environ.get("RAW_URI") or environ["REQUEST_URI"]
    body = environ["wsgi.input"].read()
    if int(environ.get("CONTENT_LENGTH") or len(body)) != len(body):
        raise ConnectionError("the body was cut short")
    text = line(environ["REQUEST_METHOD"], target.encode("latin-1"), body)
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    target = scope["raw_path"]
    if scope["query_string"] or scope["raw_path"].endswith(b"?"):
        target = target.split(b"?")[0] + b"?" + scope["query_string"]
    text = line(scope["method"], target, body)
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-length", str(len(text)).encode())]})
    await send({"type": "http.response.body", "body": text})


def gunicorn(port):
    import gunicorn.app.base

    class App(gunicorn.app.base.BaseApplication):
        def load_config(self):
            self.cfg.set("bind", "127.0.0.1:%d" % port)
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", 16)
            self.cfg.set("keepalive", 30)

        def load(self):
            return wsgi
    App().run()


def aiohttp(port):
    from aiohttp import web

    async def echo(request):
        body = await request.read()
        return web.Response(body=line(request.method, request.raw_path,
                                      body))
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{any:.*}", echo)

    @web.middleware
    async def always(request, handler):
        del handler             # paths that no route can match, too
        return await echo(request)
    app.middlewares.append(always)
    web.run_app(app, host="127.0.0.1", port=port, print=None,
                access_log=None)


def uvicorn(port, parser):
    import uvicorn
    uvicorn.run(asgi, host="127.0.0.1", port=port, http=parser,
                log_level="error", lifespan="off", timeout_keep_alive=30,
                loop="asyncio", ws="none")


def tornado(port):
    import asyncio
    from tornado import httpserver

    def echo(request):
        text = line(request.method, request.uri, request.body)
        if request.method == "HEAD":
            body = b""
        else:
            body = text
        from tornado.httputil import HTTPHeaders, ResponseStartLine
        request.connection.write_headers(
            ResponseStartLine("HTTP/1.1", 200, "OK"),
            HTTPHeaders({"Content-Length": str(len(text))}), body)
        request.connection.finish()

    async def main():
        httpserver.HTTPServer(echo).listen(port, "127.0.0.1")
        await asyncio.Event().wait()
    asyncio.run(main())


def waitress(port):
    from waitress import serve
    serve(wsgi, host="127.0.0.1", port=port, threads=8,
          channel_timeout=60, _quiet=True)


def version(name):
    from importlib.metadata import version as of
    from platform import python_version
    if name in ("h11", "httptools"):
        return "uvicorn/%s+%s/%s" % (of("uvicorn"), name, of(name))
    return "%s/%s python/%s" % (name, of(name), python_version())


def main():
    name = sys.argv[1]
    if len(sys.argv) < 3:
        print(version(name))
        return
    port = int(sys.argv[2])
    if name in ("h11", "httptools"):
        uvicorn(port, name)
    else:
        {"gunicorn": gunicorn, "aiohttp": aiohttp, "tornado": tornado,
         "waitress": waitress}[name](port)


main()
