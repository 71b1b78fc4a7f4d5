"""RTSP over HTTP on the RTSP port: ffmpeg and GStreamer through a tunnel, and clients that misbehave in one."""
import base64
import time

from harness.clip import demo_hashes
from harness.players import check_run, ffmpeg_pictures, gst_pictures
from harness.registry import check, test
from harness.rtsp import Frame, Message, Parser, connect, exchange, fetch

LOGIN = "users: {viewer: {password: x}}\npaths:\n  demo: {source: %s, dial: always}\n"


@test(seconds_max=60, player=["ffmpeg", "gstreamer"])
def a_tunnel_plays(context, player):
    """Each player's pictures through a tunnel are the origin's; a reader over UDP plays beside it on the same port."""
    weir = context.weir("demo")
    if player == "ffmpeg":
        seen = ffmpeg_pictures(context, weir.url("demo"), "http", 60)
    else:
        seen = gst_pictures(context, weir.url("demo").replace("rtsp://", "rtsph://"), "tcp+http", 60, 1280, 720)
    check_run(seen, demo_hashes(context.cache), 60, player)
    check_run(ffmpeg_pictures(context, weir.url("demo"), "udp", 30), demo_hashes(context.cache), 30, "ffmpeg over UDP")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=60, player=["ffmpeg", "gstreamer"])
def a_tunnel_logs_in(context, player):
    """The same with a password (Digest)."""
    upstream = context.weir("demo")
    weir = context.weir("serve", config=LOGIN % upstream.url("demo"))
    url = weir.url("demo", "viewer:x@")
    if player == "ffmpeg":
        seen = ffmpeg_pictures(context, url, "http", 30)
    else:
        seen = gst_pictures(context, url.replace("rtsp://", "rtsph://"), "tcp+http", 30, 1280, 720)
    check_run(seen, demo_hashes(context.cache), 30, player)


class Tunnel:
    """A tunnel by hand."""

    def __init__(self, weir, cookie):
        self.weir, self.cookie, self.sequence = weir, cookie, 0
        self.parser, self.items, self.post = Parser(), [], None
        self.get = connect((weir.host, weir.port))
        self.get.sendall(f"GET /demo HTTP/1.0\r\nx-sessioncookie: {cookie}\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.get.recv(4096)
        check(answer.startswith(b"HTTP/1.0 200") and b"application/x-rtsp-tunnelled" in answer, lambda: f"GET: {answer!r}")
        # What waited for the GET may come in one piece with its answer.
        self.items += self.parser.feed(answer[answer.index(b"\r\n\r\n") + 4:])

    def open_post(self):
        self.post = connect((self.weir.host, self.weir.port))
        self.post.sendall(f"POST /demo HTTP/1.0\r\nx-sessioncookie: {self.cookie}\r\nContent-Type: application/x-rtsp-tunnelled\r\n"
                          "Content-Length: 32767\r\n\r\n".encode())

    def ask(self, method, path="demo", *headers, pieces=1):
        self.sequence += 1
        text = "\r\n".join([f"{method} {self.weir.url(path)} RTSP/1.0", f"CSeq: {self.sequence}", *headers]) + "\r\n\r\n"
        letters = base64.b64encode(text.encode())
        size = max(1, len(letters) // pieces)
        for start in range(0, len(letters), size):
            self.post.sendall(letters[start:start + size])
            if pieces > 1:
                time.sleep(0.002)
        return self.answer()

    def answer(self):
        while True:
            for index, item in enumerate(self.items):
                if isinstance(item, Message):
                    return self.items.pop(index)
            self.more()

    def more(self):
        data = self.get.recv(65536)
        check(data, "the GET was closed")
        self.items += self.parser.feed(data)

    def frames(self):
        count = len([item for item in self.items if isinstance(item, Frame)])
        self.items = [item for item in self.items if not isinstance(item, Frame)]
        return count


@test(seconds_max=40)
def a_post_may_be_opened_again(context):
    """Media goes on while there is no POST; requests in pieces of a few letters, by one POST after the other, are all answered."""
    weir = context.weir("demo")
    tunnel = Tunnel(weir, "cookie-1")
    tunnel.open_post()
    check(tunnel.ask("DESCRIBE", pieces=40).status == 200, "DESCRIBE")
    tunnel.post.close()
    tunnel.open_post()
    answer = tunnel.ask("SETUP", "demo/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    check(answer.status == 200, lambda: answer.start)
    session = "Session: " + answer.headers["session"].split(";")[0]
    old = tunnel.post
    tunnel.open_post()
    check(tunnel.ask("PLAY", "demo", session).status == 200, "PLAY")
    check(old.recv(10) == b"", "the POST that was replaced stays open")
    tunnel.post.close()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        tunnel.more()
    check(tunnel.frames() > 30, "no media without a POST")
    tunnel.open_post()
    check(tunnel.ask("GET_PARAMETER", "demo", session).status == 200, "GET_PARAMETER")
    check(tunnel.ask("TEARDOWN", "demo", session).status == 200, "TEARDOWN")
    weir.check_alive()


@test(seconds_max=40)
def half_tunnels_are_limited(context):
    """A GET or a POST whose other half does not come is closed, and no more than 256 wait; a browser is told what this is."""
    weir = context.weir("demo")
    address = (weir.host, weir.port)
    answer = fetch(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", until_close=True)
    check(answer.split(b"\r\n")[0].endswith(b"404 Not Found"), lambda: f"a browser hears {answer!r}")
    check(fetch(address, b"POST / HTTP/1.0\r\nx-sessioncookie: a\r\n\r\n!!!!", until_close=True).startswith(b"HTTP/1.0 400"), "no base 64")
    check(fetch(address, b"GET /" + b"a" * 9000 + b" HTTP/1.0\r\n\r\n", until_close=True).startswith(b"HTTP/1.0 400"), "a long head")
    first = Tunnel(weir, "twice")
    again = connect(address)
    check(exchange(again, b"GET / HTTP/1.0\r\nx-sessioncookie: twice\r\n\r\n", until_close=True).startswith(b"HTTP/1.0 400"), "a cookie twice")
    halves = [Tunnel(weir, f"half-{number}") for number in range(255)]
    answer = fetch(address, b"GET / HTTP/1.0\r\nx-sessioncookie: one-more\r\n\r\n", until_close=True)
    check(answer.startswith(b"HTTP/1.0 503"), lambda: f"the 257th hears {answer!r}")
    first.open_post()
    check(first.ask("OPTIONS").status == 200, "a tunnel that is completed works")
    halves[0].get.settimeout(14)
    check(halves[0].get.recv(10) == b"", "a half tunnel stays open")
    status = weir.wait_for_status(lambda line: line["refusals"]["tunnel_timeout"] >= 255, 5, "they are counted")
    check(status["refusals"]["tunnels_max"] == 1, lambda: f"{status['refusals']}")
    check(first.ask("OPTIONS").status == 200, "the whole one goes on")
    late = Tunnel(weir, "late")
    late.open_post()
    check(late.ask("OPTIONS").status == 200, "there is room again")


@test(seconds_max=20)
def a_post_may_come_first(context):
    """The POST with its first request before the GET."""
    weir = context.weir("demo")
    tunnel = Tunnel.__new__(Tunnel)
    tunnel.weir, tunnel.cookie = weir, "early"
    tunnel.open_post()
    tunnel.post.sendall(base64.b64encode(f"OPTIONS {weir.url('demo')} RTSP/1.0\r\nCSeq: 7\r\n\r\n".encode()))
    time.sleep(0.3)
    post, tunnel = tunnel.post, Tunnel(weir, "early")
    tunnel.post = post
    check(tunnel.answer().headers["cseq"] == "7", "the first request is lost")
    check(tunnel.ask("DESCRIBE").status == 200, "DESCRIBE")


@test(seconds_max=60, login=["", "viewer:x@"])
def weir_pulls_through_a_tunnel(context, login):
    """`transport: http`: a Weir pulls from another through a tunnel, with and without a password; the pictures are the origin's."""
    inner = context.weir("demo")
    if login:
        inner = context.weir("serve", config=LOGIN % inner.url("demo"))
    outer = context.weir("serve", config=f"paths:\n  cam: {{source: '{inner.url('demo', login)}', transport: http}}\n"
                                         f"  short: {{source: '{inner.url('demo', login).replace('rtsp:', 'rtsph:')}'}}\n")
    check_run(ffmpeg_pictures(context, outer.url("cam"), "tcp", 60), demo_hashes(context.cache), 60, "ffmpeg")
    check_run(ffmpeg_pictures(context, outer.url("short"), "udp", 30), demo_hashes(context.cache), 30, "ffmpeg, rtsph://")
    check(outer.log().count("transport=http") == 2, "it was not dialled through HTTP")


@test(seconds_max=30)
def a_refused_tunnel_is_said(context):
    """A server that knows no tunnels: the log says so, with its status."""
    import http.server
    import threading
    server = context.closing(http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler))
    server.close = server.shutdown
    threading.Thread(target=server.serve_forever, daemon=True).start()
    weir = context.weir("serve", config=f"paths:\n  cam: {{source: 'rtsph://127.0.0.1:{server.server_port}/x', dial: always}}\n")
    weir.process.wait_for(lambda: "opens no tunnel: it answers the GET with 501" in weir.log(), 10, "the log says that there is no tunnel")
