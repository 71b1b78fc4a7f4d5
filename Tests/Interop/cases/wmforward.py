"""Windows Media of other servers through Weir: named in full by players that have a proxy set, by expressions, and where Weir sends players on."""
import base64
import json
import os
import re

from harness.msrtspplayer import Player as RTSPPlayer
from harness.players import complain
from harness.clip import framemd5
from harness.process import wait_until
from harness.proxiedorigin import Content, ProxiedOrigin
from harness.proxysides import DIALECTS, FAST, FILE, PUBLIC, SIDES, HTTPWatcher, RTSPWatcher, whole
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip, Removal, as_nobody, check_whole, pictures_of, play
from harness.wmplayer import Player as HTTPPlayer

from .windowsmedia import mms
from .wmproxy import clip_of, describe, outcomes, right


def status(context, weir):
    code, out, err = context.run_weir("status", str(weir.port), "--json", name="status")
    check(code == 0, lambda: f"weir status ended with {code}: {err[-300:]}")
    return json.loads(out)


def forwarding(context, weir):
    return status(context, weir)["forward_proxy"]


def forward(context, *allow, more="", top="", paths="", folder="cache"):
    """A Weir that forwards to these, and keeps what it may."""
    listed = ", ".join(f'"{one}"' for one in allow)
    return context.weir("serve", config=f"cache-dir: {context.path(folder)}\n{top}forward-proxy:\n  allow: [{listed}]\n  linger: 300ms\n{more}{paths}")


class ForwardedHTTP(HTTPWatcher):
    """A player by HTTP that has Weir as its proxy."""

    def __init__(self, context, weir, url):
        self.url = re.sub("^mmsh:", "http:", url)
        self.player = context.closing(HTTPPlayer(weir.host, weir.port, self.url))
        self.agent = self.player.agent


class ForwardedRTSP(RTSPWatcher):
    """A player by RTSP over TCP that has Weir as its proxy."""

    def __init__(self, context, weir, url):
        self.player = context.closing(RTSPPlayer(weir.host, weir.port, "/", base=re.sub("^rtsp[tu]:", "rtsp:", url)))
        self.agent = self.player.agent


WATCHERS = {"wmsp": ForwardedHTTP, "rtsp": ForwardedRTSP}


def asks(dialect, url, *lines, agent="NSPlayer/9.0.0.2833"):
    """A Describe of content named in full."""
    if dialect == "wmsp":
        return describe(re.sub("^mmsh:", "http:", url), *lines, agent=agent)
    return "\r\n".join([f"DESCRIBE {re.sub('^rtsp[tu]:', 'rtsp:', url)} RTSP/1.0", "CSeq: 1", "User-Agent: WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46C0-"
                        "AE0A-C4D98694D7B4", "Supported: com.microsoft.wm.srvppair", "Accept: application/sdp", *lines, "", ""]).encode()


def refused(weir, request, number, *words):
    head = fetch((weir.host, weir.port), request, seconds=8)
    check(re.match(rb"(HTTP/1\.[01]|RTSP/1\.0) %s " % str(number).encode(), head), lambda: f"{request.splitlines()[0]!r}: {head[:300]!r}")
    for word in words:
        check(word.encode() in head, lambda: f"{request.splitlines()[0]!r} says nothing of {word}: {head!r}")
    return head


@test(seconds_max=40, dialect=DIALECTS)
def wm_forward_proxy(context, dialect):
    """Who names content of a listed server in full has every packet of it, and a second one from the cache; the origin hears whose requests they
    are and how they played; when nobody is interested any more nothing is left of it but what is kept."""
    programme = clip_of(context)
    make_side, _ = SIDES[dialect]
    side = make_side(context, programme, FILE + PUBLIC[dialect])
    weir = forward(context, f"127.0.0.1:{side.origin.port}")
    first = WATCHERS[dialect](context, weir, side.url())
    first.describe()
    check(side.said()[:2] == ["GetContentInfo", "Describe"], f"the origin was asked {side.said()}")
    side.player_named(first.agent)
    first.set_up()
    first.play()
    first.read_to_end()
    whole(first.packets, programme)
    seen = status(context, weir)
    check([one["origin"] for one in seen["paths"]] == ["forward proxy"], f"{seen['paths']}")
    check(seen["forward_proxy"]["targets"] == seen["forward_proxy"]["origins"] == 1, f"{seen['forward_proxy']}")
    # Nobody has it by the name that this relay gives it.
    name = seen["paths"][0]["name"]
    refused(weir, asks(dialect, f"http://{weir.host}:{weir.port}/{name}" if dialect == "wmsp" else f"rtsp://{weir.host}:{weir.port}/{name}"), 404)
    second = WATCHERS[dialect](context, weir, side.url())
    second.describe()
    second.set_up()
    second.play()
    second.read_to_end()
    whole(second.packets, programme)
    check(side.plays() == 1, f"the origin was asked {side.said()}")
    second.log()
    wait_until(lambda: [event.number for event, _ in side.events()][:2] == [28, 30], 5, lambda: f"remote-open, remote-log: {side.events()}")
    for player in (first, second):
        player.leave()
        player.player.close()
    check(outcomes(context, weir) == {"MISS": 1, "REVALIDATED": 1}, f"{outcomes(context, weir)}")
    wait_until(lambda: forwarding(context, weir)["targets"] == 0, 20, "the target is let go of")
    check(not status(context, weir)["paths"], "a path is left")
    right(side)


@test(seconds_max=40)
def wm_forward_proxy_is_no_open_relay(context):
    """Nobody is asked who is not listed, by whatever name; what leads to this machine is asked only where its address is listed; where an origin
    sends players on holds the same; nothing leads back here; and nothing but Windows Media is carried."""
    programme = clip_of(context, 3)
    closed = context.closing(ProxiedOrigin({"/vod/b": Content(programme)}))
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(None, "", redirect=closed.url("/vod/b", "http"))}))
    clip = ASFClip(context.cache, seconds=3)
    weir = forward(context, f"127.0.0.1:{origin.port}", "localhost:*", "127.1:*", "127.0.0.2:*", "*.example.org", "*:80",
                   paths=f"paths:\n  own:\n    source: {clip.path}\n")
    port = weir.port
    for dialect, scheme in (("wmsp", "http"), ("rtsp", "rtsp")):
        refused(weir, asks(dialect, f"{scheme}://media.example.net:8080/a"), 403, "media.example.net:8080", "forward-proxy")
        refused(weir, asks(dialect, f"{scheme}://127.0.0.1:{closed.port}/vod/b"), 403, "forward-proxy")
        # A name that is listed leads to an address that is not.
        refused(weir, asks(dialect, f"{scheme}://localhost:{closed.port}/vod/b"), 403, "localhost", "no address of the internet")
        # This relay itself: by its address it is asked as always; by what leads here it would ask itself.
        refused(weir, asks(dialect, f"{scheme}://127.0.0.1:{port}/own"), 200)
        refused(weir, asks(dialect, f"{scheme}://localhost:{port}/own"), 200)
    # Neither a mask of another's nor a bare number is a way around.
    for host in ("10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"):
        refused(weir, asks("wmsp", f"http://{host}/latest"), 403)
    refused(weir, asks("wmsp", f"http://2130706433/latest"), 403, "no address of the internet")
    refused(weir, asks("wmsp", origin.url("/vod/a", "http")), 403, "forward-proxy")
    check(not closed.requests, f"who is not listed was asked {closed.said()}")
    # A proxy of the web it is not.
    refused(weir, describe(origin.url("/vod/a", "http"), agent="Mozilla/5.0"), 403, "Windows Media")
    refused(weir, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port, 405, "CONNECT")
    refused(weir, b"POST %s HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\nContent-Length: 0\r\n\r\n" % origin.url("/x", "http").encode(), 405)
    check(status(context, weir)["causes"]["refusals"]["forward_denied"] >= 14, "what was not let through is not counted")
    # What leads back here by another name.
    inner = forward(context, "127.0.0.0/8:*", "127.1:*", folder="inner")
    refused(inner, asks("wmsp", f"http://127.1:{inner.port}/x"), "50[238]", "this relay")
    refused(inner, asks("rtsp", f"rtsp://127.1:{inner.port}/x"), "50[238]", "this relay")


@test(seconds_max=30, dialect=DIALECTS)
def wm_forward_proxy_wants_a_password(context, dialect):
    """Who may use it is asked as a proxy asks (407); what opens the proxy is not told the origin, and what the origin wants to know it asks the
    player itself."""
    programme = clip_of(context, 3)
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(programme, password="bob:there")}))
    weir = forward(context, f"127.0.0.1:{origin.port}", more="  use: [alice]\n",
                   top="users:\n  alice:\n    password: here\n  carol:\n    password: here\naccess:\n  methods: [basic, digest-md5]\n")
    basic = {name: "Basic " + base64.b64encode(word.encode()).decode() for name, word in (("proxy", "alice:here"), ("carol", "carol:here"),
                                                                                         ("wrong", "alice:x"), ("origin", "bob:there"))}
    url = origin.url("/vod/a", "http") if dialect == "wmsp" else f"rtsp://127.0.0.1:{origin.port}/vod/a"
    head = refused(weir, asks(dialect, url), 407, "Proxy-Authenticate: Basic", "Proxy-Authenticate: Digest")
    check(b"WWW-Authenticate" not in head, f"{head!r}")
    refused(weir, asks(dialect, url, f"Proxy-Authorization: {basic['wrong']}"), 407)
    refused(weir, asks(dialect, url, f"Authorization: {basic['proxy']}"), 407)
    refused(weir, asks(dialect, url, f"Proxy-Authorization: {basic['carol']}"), 403)
    check(not origin.requests, f"the origin was asked {origin.said()} for whom nobody knows")
    if dialect == "rtsp":
        return
    head = refused(weir, asks(dialect, url, f"Proxy-Authorization: {basic['proxy']}"), 401, 'WWW-Authenticate: Basic realm="here"')
    check(b"Proxy-Authenticate" not in head, f"{head!r}")
    refused(weir, asks(dialect, url, f"Proxy-Authorization: {basic['proxy']}", f"Authorization: {basic['origin']}"), 200)
    check(not any("proxy-authorization" in one.headers or one.headers.get("authorization") == basic["proxy"] for one in origin.requests),
          "the origin was told what opens the proxy")


def through(context, player, weir, url):
    """The MD5 of each picture that a real player gets of `url` with Weir as its proxy."""
    proxy = f"http://{weir.host}:{weir.port}"
    if player == "mplayer":
        return play(context, "mplayer", f"http_proxy://{weir.host}:{weir.port}/{re.sub('^mmsh:', 'http:', url)}")
    if player == "vlc":
        path = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-forward.asf")).path
        process = context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--no-sout-all", "--network-caching=300", f"--http-proxy={proxy}", url,
                                                  "--sout", f"#std{{access=file,mux=asf,dst={path}}}", "vlc://quit"]),
                                {"http_proxy": proxy, "no_proxy": ""})
        process.wait(30)
        check(os.path.exists(path), lambda: f"VLC wrote nothing: {process.text()[-600:]}")
        return pictures_of(context, path)
    process = context.spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-i", url, "-map", "0:v",
                                       "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"],
                            {"http_proxy": proxy, "no_proxy": ""})
    code = process.wait(30)
    check(code == 0, lambda: f"ffmpeg ended with code {code}: {process.err()[-400:]}")
    complain(process)
    return [row[5] for row in framemd5(process.out())]


@test(seconds_max=60, player=["ffmpeg", "vlc", "mplayer"])
def wm_forward_proxy_for_real_players(context, player):
    """A player that has Weir set as its proxy decodes every picture of a file that another Weir serves; the second time it comes from the cache."""
    clip = ASFClip(context.cache, seconds=5)
    origin = context.weir("relay", clip.path, "--as", "a")
    weir = forward(context, f"127.0.0.1:{origin.port}")
    check_whole(through(context, player, weir, mms(origin, "a")), clip.pictures, player)
    seen = outcomes(context, weir)
    check(set(seen) <= {"MISS", "REVALIDATED"} and seen["MISS"] == 1, f"{seen}")
    sums = context.path("mplayer-mms.md5")
    if os.path.exists(sums):
        os.remove(sums)
    check_whole(through(context, player, weir, mms(origin, "a")), clip.pictures, player)
    again = outcomes(context, weir)
    check(again["MISS"] == 1 and again["REVALIDATED"] > seen.get("REVALIDATED", 0), f"{seen} became {again}")


@test(seconds_max=60)
def wm_forward_proxy_has_limits(context):
    """Only so many targets, on so many servers, at a time; one that nobody reads makes room; what could not be had is not asked for again at
    once."""
    programme = clip_of(context, 40)
    names = ["/vod/a", "/vod/b", "/vod/c"]
    origins = [context.closing(ProxiedOrigin({name: Content(programme, rate=1.0) for name in names})) for _ in range(2)]
    weir = forward(context, *(f"127.0.0.1:{one.port}" for one in origins), more="  targets-max: 2\n  origins-max: 1\n  cache-fill: stop\n")
    players = [ForwardedHTTP(context, weir, origins[0].url(name)) for name in names[:2]]
    for player in players:
        player.describe()
        player.play()
        player.read(3)
    refused(weir, asks("wmsp", origins[0].url("/vod/c")), 503, "targets-max")
    players[1].player.close()
    wait_until(lambda: forwarding(context, weir)["targets"] == 1, 25, "one is let go of, and its session with the origin, which rests a while")
    refused(weir, asks("wmsp", origins[1].url("/vod/a")), 503, "origins-max")
    refused(weir, asks("wmsp", origins[0].url("/vod/none")), 404)
    asked = len(origins[0].requests)
    refused(weir, asks("wmsp", origins[0].url("/vod/none")), 404)
    check(len(origins[0].requests) == asked, "what could not be had was asked for again")
    refused(weir, asks("wmsp", origins[0].url("/vod/c")), 200)
    seen = status(context, weir)
    check(seen["causes"]["refusals"]["forward_targets"] == 2, f"{seen['causes']['refusals']}")
    check(seen["forward_proxy"]["negative_answers"] == 1 and not origins[1].requests, f"{seen['forward_proxy']}")


@test(seconds_max=40)
def wm_players_are_sent_to_the_origin(context):
    """`serve: redirect` sends players on, by their protocol's URL, and asks nobody; ffmpeg goes there. `redirect-when-full` serves as many as
    there is room for, and sends the others."""
    clip = ASFClip(context.cache, seconds=3)
    origin = context.weir("serve", "--config", context.write("origin.yml", f"paths:\n  a:\n    source: {clip.path}\n"))
    place = f"{origin.host}:{origin.port}/a"
    weir = context.weir("serve", config=f"""paths:
  away:
    source: mms://bob:secret@{place}
    serve: redirect
  http:
    source: mmsh://{place}
    serve: redirect
  rtsp:
    source: rtsp://{place}
    serve: redirect
  full:
    source: mmsh://{place}
    serve: redirect-when-full
    readers-max: 0
""")
    wanted = {"away": (f"http://{place}", f"rtsp://{place}"), "http": (f"http://{place}", f"mmsh://{place}"),
              "rtsp": (f"rtsp://{place}", f"rtsp://{place}"), "full": (f"http://{place}", f"mmsh://{place}")}
    for path, locations in wanted.items():
        for dialect, location in zip(("wmsp", "rtsp"), locations):
            url = f"/{path}" if dialect == "wmsp" else f"rtsp://{weir.host}:{weir.port}/{path}"
            request = describe(url) if dialect == "wmsp" else asks("rtsp", url)
            refused(weir, request, 302, f"Location: {location}\r\n")
    begun = origin.log().count("Windows Media begins")
    check(begun == 0, "somebody was asked")
    check_whole(play(context, "ffmpeg", mms(weir, "away")), clip.pictures, "ffmpeg")
    check(origin.log().count("Windows Media begins") >= 1 and "Windows Media begins" not in weir.log(), "it was not played at the origin")
    check("sent to the origin" in weir.log(), "the log does not say so")


@test(seconds_max=40, dialect=DIALECTS)
def wm_paths_made_by_expressions(context, dialect):
    """Names that fit an expression are paths of their own before a server of Windows Media; one that it does not have is not asked for again at
    once, and nothing is left when nobody is interested."""
    programme = clip_of(context, 3)
    make_side, watcher = SIDES[dialect]
    side = make_side(context, programme, FILE + PUBLIC[dialect])
    source = re.sub("vod/a$", "vod/$1", side.url())
    weir = context.weir("serve", config=f"cache-dir: {context.path('cache')}\npaths:\n  ~^films/([a-z]+)$:\n    source: {source}\n    linger: 300ms\n")
    player = watcher(context, weir, "/films/a")
    player.describe()
    player.set_up()
    player.play()
    player.read_to_end()
    whole(player.packets, programme)
    if dialect == "wmsp":
        refused(weir, describe("/films/none"), 404)
        asked = side.origin.said()
        refused(weir, describe("/films/none"), 404)
        check(side.origin.said() == asked and len(asked) < 10, f"{side.origin.said()}")
        check(status(context, weir)["expressions"][0]["negative_answers"] == 1, f"{status(context, weir)['expressions']}")
    refused(weir, describe("/films/1"), 404)
    player.leave()
    player.player.close()
    wait_until(lambda: status(context, weir)["expressions"][0]["instances"] == 0, 20, "the path goes")
    right(side)
