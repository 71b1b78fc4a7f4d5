"""What players share behind the proxy of Windows Media, and what they must not: one question and one fill for all, nothing of what one of them
needs a password for."""
import threading
import time

from harness.msrtspplayer import Player as RTSPPlayer
from harness.process import wait_until
from harness.proxiedorigin import FRESH, Content, ProxiedOrigin
from harness.proxysides import FAST, FILE, SPLIT, RTSPSide, whole
from harness.registry import check, test
from harness.rtsp import fetch
from harness.wmplayer import Player

from .wmproxy import clip_of, describe, proxy, questions, watched


@test(seconds_max=30)
def wm_proxy_asks_once_for_many(context):
    """Four players at once: one GetContentInfo, one Describe, one Play; a player that seeks ahead gets its own range from the origin, and what
    then was brought needs no asking any more."""
    programme = clip_of(context, 10)
    content = Content(programme, FRESH, halt=60)
    origin = context.closing(ProxiedOrigin({"/vod/a": content}))
    gate = origin.holds["GetContentInfo"] = threading.Event()
    weir = proxy(context, origin.url("/vod/a"))
    players = [context.closing(Player(weir.host, weir.port, "/a", pipelined=n % 2 == 1)) for n in range(4)]
    threads = [threading.Thread(target=player.describe) for player in players]
    for thread in threads:
        thread.start()
    wait_until(lambda: origin.said(), 5, "the origin is asked")
    time.sleep(0.4)
    check(origin.said() == ["GetContentInfo /vod/a"], f"while it thinks, the origin is asked {origin.said()}")
    gate.set()
    for thread in threads:
        thread.join(10)
    for player in players:
        if player.pipelined:
            player.pipeline()
        player.play(more=FAST)
    for player in players:
        player.read(until=lambda event: event.kind == "D" and event.location == 59)
    check([one.name for one in questions(origin)] == ["GetContentInfo", "Describe", "Play"], f"for four players the origin was asked {origin.said()}")

    # It stands at packet 60. Somebody wants what comes at 6 s.
    ahead = context.closing(Player(weir.host, weir.port, "/a"))
    ahead.describe()
    ahead.play(time_=6000, more=FAST)
    ahead.read()
    first = ahead.entries[-1].packets[0].location
    check(first >= 60 and len(origin.plays) == 2, f"a seek to 6 s begins with packet {first}; the origin played {len(origin.plays)} times")
    check(abs(origin.plays[1].first - first) <= 30, f"the origin was asked for packet {origin.plays[1].first}, the player got {first}")
    # What cannot be entered at is left out; a second and a half later everything is there.
    came = [(one.location, one.asf) for one in ahead.entries[-1].packets]
    whole([one for one in came if one[0] >= first + 60], programme, first + 60)
    check(len(came) >= len(programme.packets) - first - 30, f"{len(came)} packets from {first} on")
    content.go.set()
    for player in players:
        player.read(until=lambda event: event.kind == "E")
        whole([(one.location, one.asf) for one in player.entries[-1].packets], programme)
    wait_until(lambda: not any(play.is_open for play in origin.plays), 5, "the fill ends")
    check(len(origin.plays) == 2, f"the origin played {[(play.first, play.count) for play in origin.plays]}")
    asked = len(questions(origin))
    watched(context, weir, "/a", programme)
    check(len(questions(origin)) == asked, f"what is here was asked for again: {questions(origin)[asked:]}")
    check(not origin.faults, lambda: f"{origin.faults[:5]}")


class Known(Player):
    """A player that says who it is."""

    def head(self, method, pragma, supported=None, more=(), path=None):
        return super().head(method, pragma, supported, ["Authorization: Basic dmlld2VyOnMzY3JldA==", *more], path)


@test(seconds_max=30)
def wm_proxy_keeps_nothing_of_what_needs_a_password(context):
    """What the origin asks a password for: 401 and its challenge for whoever has none, before and after somebody who has one played it; each
    play from the origin, nothing in the cache; of a broadcast a connection for each."""
    programme = clip_of(context, 3)
    live = clip_of(context, 20)
    origin = context.closing(ProxiedOrigin({"/vod/a": Content(programme, FRESH, password="viewer:s3cret"),
                                            "/live": Content(live, SPLIT + ", user-public", live=True, password="viewer:s3cret")}))
    weir = proxy(context, origin.url("/vod/a"), f"  live:\n    source: {origin.url('/live')}\n    linger: 300ms\n")
    address = (weir.host, weir.port)

    def refused(path):
        head = fetch(address, describe(path))
        check(b" 401 " in head.split(b"\r\n")[0] and b'Basic realm="here"' in head, lambda: f"without a password: {head[:300]!r}")
    refused("/a")
    for _ in range(2):
        plays = len(origin.plays)
        player = context.closing(Known(weir.host, weir.port, "/a"))
        player.describe()
        player.play(more=FAST)
        player.read()
        whole([(one.location, one.asf) for one in player.entries[-1].packets], programme)
        player.close()
        check(len(origin.plays) == plays + 1, "what needs a password was not played from the origin")
        refused("/a")
    refused("/live")
    players = [context.closing(Known(weir.host, weir.port, "/live")) for _ in range(2)]
    for player in players:
        player.describe()
        player.play()
        player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= 5)
    check([play.target for play in origin.plays].count("/live") == 2, f"two players share {[play.target for play in origin.plays]}")
    refused("/live")
    code, listed, _ = context.run_weir("cache", "ls", "--cache", context.path("cache"), name="ls")
    check(code == 0 and "/vod/a" not in listed, f"kept is {listed}")
    check(not origin.faults, lambda: f"{origin.faults[:5]}")


class KnownByRTSP(RTSPPlayer):
    """The same by RTSP."""

    def head(self, name, method, url, headers=(), *rest, **more):
        return super().head(name, method, url, ["Authorization: Basic dmlld2VyOnMzY3JldA==", *headers], *rest, **more)


@test(seconds_max=30, scheme=["mms", "rtsp"])
def wm_proxy_keeps_nothing_of_what_needs_a_password_by_rtsp(context, scheme):
    """The same by RTSP, from an origin of RTSP; also where the source's URL leaves open whether it has Windows Media."""
    programme, live = clip_of(context, 3), clip_of(context, 20)
    control = FILE.replace(", must-revalidate, proxy-revalidate", "") + ", public"
    film = RTSPSide(context, programme, control, password=("Basic", 401))
    tv = RTSPSide(context, live, SPLIT + ", public", True, password=("Basic", 401))
    weir = proxy(context, film.origin.url("vod/a", scheme=scheme), f"  live:\n    source: {tv.origin.url('vod/a', scheme=scheme)}\n    linger: 300ms\n")

    def refused(path):
        answer = fetch((weir.host, weir.port), f"DESCRIBE {weir.url(path)} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: WMPlayer/9.0.0.2980\r\n\r\n".encode())
        check(answer.startswith(b"RTSP/1.0 401") and b'Basic realm="here"' in answer, lambda: f"without a password: {answer[:300]!r}")
    refused("a")
    for _ in range(2):
        plays = film.plays()
        player = context.closing(KnownByRTSP(weir.host, weir.port, "/a"))
        player.describe()
        player.set_up()
        player.play(accelerate=(30000, 50_000_000))
        player.read_to_end()
        whole([(one.location, one.asf) for one in player.since_play()], programme)
        player.teardown()
        check(film.plays() == plays + 1, f"what needs a password was not played from the origin: {film.said()}")
        refused("a")
    refused("live")
    players = [context.closing(KnownByRTSP(weir.host, weir.port, "/live")) for _ in range(2)]
    for player in players:
        player.describe()
        player.set_up()
        player.play()
        player.read_units(5)
    check(tv.plays() == 2, f"two players share what a password opened: {tv.said()}")
    refused("live")
    code, listed, _ = context.run_weir("cache", "ls", "--cache", context.path("cache"), name="ls")
    check(code == 0 and "/vod/a" not in listed, f"kept is {listed}")
    faults = [fault for side in (film, tv) for fault in side.faults]
    check(not faults, lambda: f"{faults[:5]}")
