"""Players of Windows Media that lie, steal, hurry or dawdle; and what operators see and decide."""
import json
import os
import shutil
import socket
import time

from harness.asffile import File, Objects
from harness.process import free_port
from harness.registry import check, test
from harness.rtsp import basic, digest_response, fetch, parse_parameters
from harness.windowsmedia import ASFClip, check_whole, play
from harness.wmplayer import Player

CONFIG = "paths:\n  live:\n    source: {path}\n    broadcast: true\n  file:\n    source: {path}\n"
FAST = ["LinkBW=2147483647, AccelBW=50000000, AccelDuration=30000"]


def served(context, seconds=10, more=""):
    clip = ASFClip(context.cache, seconds=seconds)
    return clip, context.weir("serve", config=more + CONFIG.format(path=clip.path))


def ask(weir, request, source="127.0.0.1", seconds=5.0):
    """One request from an address of the loopback, to the end of the answer; None if none came and the connection stayed."""
    with socket.create_connection((weir.host, weir.port), seconds, (source, 0)) as connection:
        connection.settimeout(seconds)
        connection.sendall(request if isinstance(request, bytes) else request.encode())
        answer = b""
        try:
            while True:
                part = connection.recv(65536)
                if not part:
                    return answer
                answer += part
        except TimeoutError:
            return answer or None
        except ConnectionError:
            return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer and answer.startswith(b"HTTP/1.") else None


AGENT = "User-Agent: NSPlayer/9.0.0.2980\r\n"
LIES = {
    "pragma-64k": "GET /file HTTP/1.0\r\n" + AGENT + "Pragma: no-cache\r\n" + "Pragma: a=b,c=d\r\n" * 4000 + "\r\n",
    "one-long-pragma": "GET /file HTTP/1.0\r\n" + AGENT + "Pragma: " + "x" * 65536 + "\r\n\r\n",
    "length-negative": "POST /file HTTP/1.0\r\n" + AGENT + "Pragma: log-line=x, client-id=1\r\nContent-Length: -1\r\n\r\n",
    "length-huge": "POST /file HTTP/1.0\r\n" + AGENT + "Pragma: client-id=1\r\nContent-Type: application/x-wms-LogStats\r\n"
                   "Content-Length: 18446744073709551617\r\n\r\n<XML>",
    "log-256k": "POST /file HTTP/1.0\r\n" + AGENT + "Pragma: client-id=1\r\nContent-Type: application/x-wms-LogStats\r\n"
                "Content-Length: 300000\r\n\r\n" + "<" * 300000,
    "bytes": bytes(range(256)).decode("latin-1") * 40,
    "head-without-end": "GET /file HTTP/1.0\r\n" + AGENT + "X: " + "y" * 20000,
    "chunked-post": "POST /file HTTP/1.1\r\n" + AGENT + "Transfer-Encoding: chunked\r\nPragma: client-id=1, xStopStrm=1\r\n\r\nffffffffffffffff\r\n",
    "client-id-wild": "POST /file HTTP/1.0\r\n" + AGENT + "Pragma: xStopStrm=1, client-id=99999999999999999999\r\nContent-Length: 0\r\n\r\n",
    "event-broken": "POST /file HTTP/1.0\r\n" + AGENT + "Content-Type: application/x-wms-sendevent\r\nContent-Length: 9\r\n\r\n1\r\n1,99,99",
}


@test(seconds_max=30, lie=sorted(LIES))
def wm_lies_are_refused(context, lie):
    """A request that lies about its lengths, or drowns the server in tokens, is refused; others are served meanwhile and afterwards."""
    clip, weir = served(context, seconds=5)
    player = context.closing(Player(weir.host, weir.port, "/file"))
    player.describe()
    player.play(more=FAST)
    request = LIES[lie].encode("latin-1")
    answer = ask(weir, request, seconds=12.0)
    check(answer is not None, "neither an answer nor an end within 12 s")
    check(not answer or 400 <= (status_of(answer) or 0) < 600 or answer.startswith(b"RTSP/1.0 4"), lambda: f"the answer is {answer[:120]!r}")
    player.read()
    check(len(player.entries[-1].packets) == len(File(clip.path).packets), "the player beside it lacks packets")
    weir.check_alive()


@test(seconds_max=30, path=["live", "file"])
def wm_sessions_are_not_stolen(context, path):
    """Somebody else's client-id, from another address, neither stops nor changes nor takes over a session, nor learns of it."""
    _, weir = served(context)
    player = context.closing(Player(weir.host, weir.port, "/" + path))
    header = player.describe().header
    player.play()
    player.read(until=lambda event: event.kind == "D")
    named = f"Pragma: client-id={player.id}\r\n"
    streams = f"Pragma: stream-switch-count={len(header.streams)}\r\nPragma: stream-switch-entry=" + " ".join(
        f"ffff:{n:x}:2" for n in header.streams) + "\r\n"
    thefts = {
        "stop": f"POST /{path} HTTP/1.0\r\n{AGENT}{named}Pragma: xStopStrm=1\r\nContent-Length: 0\r\n\r\n",
        "select": f"POST /{path} HTTP/1.0\r\n{AGENT}{named}{streams}Content-Length: 0\r\n\r\n",
        "play": f"GET /{path} HTTP/1.0\r\n{AGENT}{named}Pragma: xPlayStrm=1\r\n\r\n",
        "describe": f"GET /{path} HTTP/1.0\r\n{AGENT}{named}\r\n",
        "log": f"POST /{path} HTTP/1.0\r\n{AGENT}{named}Content-Type: application/x-wms-LogStats\r\nContent-Length: 5\r\n\r\n<XML>",
        "keep-alive": f"POST /{path} HTTP/1.0\r\n{AGENT}{named}Pragma: xKeepAliveInPause=1\r\nContent-Length: 0\r\n\r\n",
    }
    for name, request in thefts.items():
        answer = ask(weir, request, source="127.0.0.2")
        check(status_of(answer) == 400, lambda: f"{name}: {answer[:100]!r}")
    # One that there is not is unknown to everybody.
    unknown = f"POST /{path} HTTP/1.0\r\n{AGENT}Pragma: client-id=1, xStopStrm=1\r\nContent-Length: 0\r\n\r\n"
    check(status_of(ask(weir, unknown)) == 400, "an unknown client-id")
    done = len(player.entries[-1].packets)
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= done + 60)
    code, out, _ = context.run_weir("status", str(weir.port), "--json")
    causes = json.loads(out)["causes"] if code == 0 else {}
    check(causes.get("windows_media", {}).get("mistaken") == len(thefts) + 1, lambda: f"counted: {causes}")
    weir.check_alive()


@test(seconds_max=30, path=["live", "file"])
def wm_second_play_takes_over(context, path):
    """A player that comes back on another connection gets its session; the old connection is closed behind whole packets."""
    _, weir = served(context)
    player = context.closing(Player(weir.host, weir.port, "/" + path))
    player.describe()
    player.play()
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= 5)
    old = player.body
    wire, player.wire = player.wire, None
    player.play()
    # The old body ends, within no packet.
    while old.packet() is not None:
        pass
    check(wire.ended(), "the old connection stays")
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= 30)
    wire.close()
    weir.check_alive()


class Dawdler(Player):
    """Its window is small."""

    def open(self):
        super().open()
        self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


@test(seconds_max=40, path=["live", "file"])
def wm_dawdlers_get_whole_packets(context, path):
    """A player that reads nothing for some seconds: on demand it lacks nothing, live its packets are whole; nobody else notices."""
    _, weir = served(context)
    slow, quick = [context.closing(kind(weir.host, weir.port, "/" + path)) for kind in (Dawdler, Player)]
    slow.describe()
    quick.describe()
    slow.play()
    quick.play()
    began = time.monotonic()
    quick.read(until=lambda event: time.monotonic() - began > 5)
    check(len(quick.entries[-1].packets) > 100, lambda: f"{len(quick.entries[-1].packets)} packets came to the quick one")
    slow.read(until=lambda event: event.kind == "D" and len(slow.entries[-1].packets) >= 100)
    objects = Objects()
    for packet in slow.entries[-1].packets:
        objects.take(packet.asf)
    numbers = [packet.location for packet in slow.entries[-1].packets]
    # Live it may have been passed over, up to a key frame.
    if path == "file":
        check(objects.broken == 0, f"{objects.broken} objects are broken")
        check(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "packets are missing")
    weir.check_alive()


@test(seconds_max=90, player=["ffmpeg", "vlc"])
def wm_players_follow_redirects(context, player):
    """Where there is no room players are sent to another relay (302), and play there."""
    clip = ASFClip(context.cache)
    port = free_port()
    context.weir("relay", clip.path, "--as", "file", port=port)
    full = context.weir("serve", config=f"readers-max: 0\nthen: [rtsp://127.0.0.1:{port}]\n" + CONFIG.format(path=clip.path))
    check_whole(play(context, player, f"mmsh://{full.host}:{full.port}/file", seconds=60), clip.pictures, player)
    code, out, _ = context.run_weir("status", str(full.port), "--json")
    check(code == 0 and json.loads(out)["totals"]["readers_redirected"] >= 1, "nobody was counted")


@test(seconds_max=30)
def wm_bound_on_readers_holds(context):
    """readers-max of the server counts players of Windows Media, and refuses the next with 503 and a time."""
    _, weir = served(context, more="readers-max: 1\n")
    player = context.closing(Player(weir.host, weir.port, "/live"))
    player.describe()
    player.play()
    player.read(until=lambda event: event.kind == "D")
    for path in ("live", "file"):
        answer = fetch((weir.host, weir.port), f"GET /{path} HTTP/1.0\r\n{AGENT}Pragma: xPlayStrm=1\r\n\r\n".encode(), until_close=True)
        check(status_of(answer) == 503 and b"Retry-After" in answer, lambda: f"{answer[:100]!r}")
    player.close()
    deadline = time.monotonic() + 5
    while status_of(fetch((weir.host, weir.port), f"GET /file HTTP/1.0\r\n{AGENT}\r\n".encode(), until_close=True)) != 200:
        check(time.monotonic() < deadline, "the place is not given back")
        time.sleep(0.1)


@test(seconds_max=40)
def wm_replaced_file_is_broadcast(context):
    """A file that is replaced while it is broadcast: players of version 9 get the new header in mid-stream, newcomers begin with it."""
    one, two = ASFClip(context.cache, seconds=5), ASFClip(context.cache, seconds=5, codec="msmpeg4v3", packet_bytes=8192)
    path = context.path("programme.asf")
    shutil.copyfile(one.path, path)
    weir = context.weir("serve", config=CONFIG.format(path=path))
    player = context.closing(Player(weir.host, weir.port, "/live"))
    first = player.describe().header
    player.play()
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= 10)
    shutil.copyfile(two.path, path + ".next")
    os.rename(path + ".next", path)
    late = context.closing(Player(weir.host, weir.port, "/live"))
    second = late.describe().header
    check(second.packet_bytes == 8192 and first.packet_bytes == 3200, "the newcomer gets the old file's header")
    player.read(until=lambda event: event.kind == "D" and len(player.entries) == 2 and len(player.entries[-1].packets) >= 10)
    check(player.entries[-1].header.packet_bytes == 8192, "the player goes on with the old header")
    weir.check_alive()


PASSWORDS = """
users:
  viewer: {password: "p w:d"}
access: {read: viewer, methods: [basic, digest-sha256, digest-md5]}
"""


@test(seconds_max=30, way=["MD5", "SHA-256", "basic"])
def wm_passwords(context, way):
    """Describe and Play are asked for a password (401) and answered with it, by Digest and Basic; a wrong one is refused."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=PASSWORDS + CONFIG.format(path=clip.path))

    def request(authorization, more=""):
        line = f"Authorization: {authorization}\r\n" if authorization else ""
        return f"GET /file HTTP/1.0\r\n{AGENT}{line}{more}\r\n"

    def authorization(challenges, password):
        if way == "basic":
            check(any(text.startswith("Basic ") for text in challenges), lambda: f"{challenges}")
            return basic("viewer", password)
        for text in challenges:
            parameters = parse_parameters(text)
            if text.startswith("Digest ") and parameters.get("algorithm", "MD5") == way:
                break
        else:
            check(False, lambda: f"no Digest by {way} among {challenges}")
        parameters |= {"nc": "00000001", "cnonce": "abc"}
        parameters["qop"] = "auth" if parameters.get("qop") else None
        response = digest_response(way, "viewer", parameters["realm"], password, "GET", "/file", parameters["nonce"], parameters)
        more = ', qop=auth, nc=00000001, cnonce="abc"' if parameters["qop"] else ""
        return (f'Digest username="viewer", realm="{parameters["realm"]}", nonce="{parameters["nonce"]}", uri="/file", '
                f'algorithm={way}, response="{response}"{more}')

    for more, kind in (("", b"$H"), ("Pragma: xPlayStrm=1\r\n", b"$D")):
        for password, status in (("wrong", 401), ("p w:d", 200)):
            answer = ask(weir, request(None, more))
            check(status_of(answer) == 401, lambda: f"without a password: {answer[:100]!r}")
            head = answer.split(b"\r\n\r\n")[0].decode()
            challenges = [line.split(": ", 1)[1] for line in head.split("\r\n") if line.lower().startswith("www-authenticate")]
            answer = ask(weir, request(authorization(challenges, password), more), seconds=3.0)
            check(status_of(answer) == status, lambda: f"{password}: {answer[:100]!r}")
            check(status != 200 or kind in answer, lambda: f"no {kind.decode()} in {answer[:300]!r}")
