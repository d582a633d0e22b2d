#!/usr/bin/python3
"""A small server that speaks S3 as tests need it: open buckets, session tokens, and every wrong answer.

It does not verify signatures; the real server (s3server) does. Called by tests/e2e/85-s3.bats as:
  fakes3.py DIR PORTFILE LOG
DIR/BUCKET/KEY are the objects; DIR/.mode says what goes wrong, read at each request:
  error STATUS CODE [XML]   every request gets this error
  token TEXT                who does not bring this session token, signed, gets InvalidToken
  cut                       every answer without a range ends after half of the object
  change                    the same, and each request sees another version of it (ETag)
  slow MS                   every object takes that long
  samepage, emptypage, html listings that never end, that are empty for ever, that are none
LOG has a line a request: METHOD PATH?QUERY range= if-match= signed=HEADERS token= encoding=
"""
import email.utils, hashlib, http.server, itertools, os, re, sys, time, urllib.parse
from xml.sax.saxutils import escape

TOP, PORTFILE, LOG = sys.argv[1:]
PAGE = 3
COUNTER = itertools.count()


def mode():
    try:
        with open(os.path.join(TOP, ".mode")) as f:
            return f.read().split(None, 3) or [""]
    except OSError:
        return [""]


def keys_of(bucket):
    top = os.path.join(TOP, bucket)
    return sorted((os.path.relpath(os.path.join(d, f), top) for d, _, names in os.walk(top) for f in names),
                  key=lambda k: k.encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        h = self.headers
        names = re.search("SignedHeaders=([^,]*)", h["Authorization"] or "")
        with open(LOG, "a") as f:
            f.write("%s %s range=%s if-match=%s signed=%s token=%s encoding=%s\n" % (
                self.command, self.path, h["Range"], h["If-Match"], names.group(1) if names else "no",
                h["x-amz-security-token"], h["Accept-Encoding"]))

    def answer(self, status, body, headers=(), length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, extra=""):
        self.answer(status, ("<?xml version='1.0'?><Error><Code>%s</Code><Message>no</Message>%s</Error>"
                             % (code, extra)).encode(), [("Content-Type", "application/xml")])

    def listing(self, bucket, query):
        prefix, now = query.get("prefix", ""), mode()[0]
        after = query.get("continuation-token", "")
        keys = [k for k in keys_of(bucket) if k.startswith(prefix) and k > after]
        page, more = keys[:PAGE], len(keys) > PAGE
        if now == "html":
            return self.answer(200, b"<html><body>Welcome</body></html>")
        if now == "samepage":
            more, token = True, "again"
        elif now == "emptypage":
            page, more, token = [], True, str(next(COUNTER))
        else:
            token = page[-1] if page else ""
        text = "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>%s</Name>" % bucket
        for k in page:
            st = os.stat(os.path.join(TOP, bucket, k))
            text += "<Contents><Key>%s</Key><LastModified>%s</LastModified><Size>%d</Size></Contents>" % (
                escape(urllib.parse.quote(k)), time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(st.st_mtime)),
                st.st_size)
        text += "<EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated>" % str(more).lower()
        if more:
            text += "<NextContinuationToken>%s</NextContinuationToken>" % escape(token)
        self.answer(200, (text + "</ListBucketResult>").encode())

    def object(self, bucket, key):
        now = mode()
        try:
            path = os.path.join(TOP, bucket, key)
            with open(path, "rb") as f:
                data = f.read()
            mtime = os.stat(path).st_mtime
        except OSError:
            return self.error(404, "NoSuchKey")
        version = str(next(COUNTER)) if now[0] == "change" else ""
        etag = '"%s"' % hashlib.md5(data + version.encode()).hexdigest()
        headers = [("ETag", etag), ("Last-Modified", email.utils.formatdate(mtime, usegmt=True))]
        if now[0] == "slow":
            time.sleep(int(now[1]) / 1000)
        if self.headers["If-Match"] not in (None, etag):
            return self.error(412, "PreconditionFailed")
        wanted = self.headers["Range"]
        if wanted:
            start = int(wanted.split("=")[1].split("-")[0])
            headers.append(("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data))))
            return self.answer(206, data[start:], headers)
        if now[0] in ("cut", "change") and self.command == "GET":
            self.close_connection = True
            return self.answer(200, data[:len(data) // 2], headers, len(data))
        self.answer(200, data, headers)

    def do_GET(self):
        now = mode()
        self.note()
        path, _, query = self.path.partition("?")
        bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        if now[0] == "error":
            return self.error(int(now[1]), now[2], *now[3:])
        if now[0] == "token" and (self.headers["x-amz-security-token"] != now[1] or
                                  "x-amz-security-token" not in (self.headers["Authorization"] or "")):
            return self.error(403, "InvalidToken")
        if not os.path.isdir(os.path.join(TOP, bucket)):
            return self.error(404, "NoSuchBucket")
        if key:
            return self.object(bucket, key)
        self.listing(bucket, dict(urllib.parse.parse_qsl(query)))

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
with open(PORTFILE + ".new", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(PORTFILE + ".new", PORTFILE)
server.serve_forever()
