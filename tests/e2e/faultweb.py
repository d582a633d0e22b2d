#!/usr/bin/env python3
"""A web server that does wrong on purpose, for what nginx cannot be made to do.

faultweb.py DIR PORTFILE LOG: serves DIR on a free port of 127.0.0.1, which it writes to PORTFILE. The file
DIR/.fault has the fault of the moment, read at each request: KIND [ARGUMENT]. DIR/.count, when it is there,
has how many requests it still holds for. LOG gets a line a request: METHOD PATH RANGE KIND BYTES.
Called by tests/e2e/80-http.bats. It must not listen elsewhere than on loopback.
"""
import http.server
import os
import socketserver
import sys
import threading
import time
import urllib.parse

TOP, PORTFILE, LOG = sys.argv[1:4]
LOCK = threading.Lock()


def fault():
    """The fault of this request, counted down."""
    with LOCK:
        try:
            words = open(os.path.join(TOP, ".fault")).read().split()
        except OSError:
            return "none", ""
        count = os.path.join(TOP, ".count")
        if os.path.exists(count):
            left = int(open(count).read())
            if left <= 0:
                return "none", ""
            with open(count, "w") as out:
                out.write(str(left - 1))
        return words[0], words[1] if len(words) > 1 else ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, kind, sent):
        with LOCK, open(LOG, "a") as log:
            log.write(f"{self.command} {self.path} {self.headers.get('Range', '-')} {kind} {sent}\n")

    def plain(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self):
        """Ends the connection now, without the rest."""
        self.close_connection = True

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        kind, arg = fault()
        path = os.path.join(TOP, urllib.parse.unquote(self.path.split("?")[0]).lstrip("/"))
        if kind == "delay":
            time.sleep(float(arg))
        if kind == "status":
            self.note(kind, 0)
            status, _, after = arg.partition(",")
            return self.plain(int(status), {"Retry-After": after} if after else {}, b"sorry\n")
        if kind == "redirect":
            self.note(kind, 0)
            return self.plain(302, {"Location": arg.replace("SELF", self.path)})
        if kind == "moved" and not self.path.startswith("/real"):
            self.note(kind, 0)
            return self.plain(302, {"Location": "/real" + self.path})
        if kind == "moved":
            path = os.path.join(TOP, self.path[len("/real/"):])
        if not os.path.isfile(path):
            self.note("missing", 0)
            return self.plain(404, {}, b"no\n")
        body = open(path, "rb").read()
        total, start = len(body), 0
        asked = self.headers.get("Range")
        etag = '"%x-%x"' % (os.stat(path).st_mtime_ns, total)
        valid = self.headers.get("If-Range") in (None, etag)
        status = 200
        if asked and valid and kind != "norange":
            first, _, last = asked[len("bytes="):].partition("-")
            start, status = int(first), 206
            body = body[:int(last) + 1] if last else body
            if start >= total:
                self.note("416", 0)
                return self.plain(416, {"Content-Range": f"bytes */{total}"})
        if kind == "wrongrange" and status == 206:
            start += 1
        if kind == "corrupt":
            at = total // 2
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        if kind == "short":
            body, total = body[:-10], total - 10
        if kind == "long":
            body, total = body + b"more", total + 4
        body = body[start:]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{total}")
        if kind == "newetag":
            etag = '"%d"' % time.monotonic_ns()
        if kind not in ("noetag", "norange"):
            self.send_header("ETag", etag)
        if kind == "gzip":
            self.send_header("Content-Encoding", "gzip")
        if kind in ("chunked", "longchunked"):
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return self.note(kind, 0)
        self.note(kind, len(body))
        self.body(kind, arg, body, asked)

    def body(self, kind, arg, body, asked):
        if kind in ("chunked", "longchunked"):
            if kind == "longchunked":
                body += b"x" * 100
            for at in range(0, len(body), 65536):
                piece = body[at:at + 65536]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        elif kind in ("truncate", "newetag") or (kind in ("norange", "wrongrange") and not asked):
            self.wfile.write(body[:len(body) // 2])
            self.cut()
        elif kind == "stall":
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            time.sleep(float(arg or 600))
            self.cut()
        elif kind == "drip":
            for at in range(0, len(body), int(arg)):
                self.wfile.write(body[at:at + int(arg)])
                self.wfile.flush()
                time.sleep(0.1)
        else:
            self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
with open(PORTFILE + ".new", "w") as out:
    out.write(str(server.server_address[1]))
os.rename(PORTFILE + ".new", PORTFILE)
server.serve_forever()
