"""What is told of plays behind the proxy of Windows Media: to the operator by status, top and log; to origins by events, those of Weir's own
`remote-events` and those that waited while the origin was away; and to players of live content when its origin stops."""
import json
import re
import socket
import threading
import time

from harness.process import wait_until
from harness.proxiedorigin import ALL_EVENTS, CACHED, FRESH, Content, ProxiedOrigin
from harness.proxysides import DIALECTS, FILE, PUBLIC, SIDES, SPLIT, SUMMARY, whole
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip
from harness.wmplayer import Player

from .wmproxy import clip_of, counts_in, describe, programme_packets, proxy, watched, whole_objects


def overview(context, weir):
    code, out, err = context.run_weir("status", str(weir.port), "--json", name="status")
    check(code == 0, f"weir status ended with {code}: {err[-300:]}")
    return json.loads(out)


def asked_of(side):
    """What the origin was asked but for logs, which come when they come."""
    return [name for name in side.said() if not name.startswith("Log")]


def notices(context, weir):
    return counts_in(overview(context, weir))["notices"]


@test(seconds_max=40)
def plays_are_told_with_their_reasons(context):
    """How each play was met, the word and the reason: of paths and readers in `weir status`, as a table and as JSON, in `weir top`, in the log."""
    programme, live = clip_of(context, 3), clip_of(context, 20)
    contents = {"fresh": Content(programme, FRESH), "asked": Content(programme, CACHED),
                "mine": Content(programme, FRESH.replace("user-public, proxy-public", "private")),
                "live": Content(live, SPLIT + ", user-public", live=True)}
    origin = context.closing(ProxiedOrigin({f"/vod/{name}": content for name, content in contents.items()}))
    config = "".join(f"  {name}:\n    source: {origin.url('/vod/' + name)}\n" for name in contents)
    weir = context.weir("serve", config=f"cache-dir: {context.path('cache')}\npaths:\n{config}")
    for name in ("fresh", "fresh", "asked", "asked", "mine"):
        watched(context, weir, f"/{name}", programme)
    players = [context.closing(Player(weir.host, weir.port, "/live")) for _ in range(2)]
    for player in players:
        player.describe()
        player.play()
        player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= 5)
    expected = {"fresh": ({"MISS": 1, "HIT": 1}, "HIT fresh"), "asked": ({"MISS": 1, "REVALIDATED": 1}, "REVALIDATED unchanged"),
                "mine": ({"BYPASS": 1}, "BYPASS private"), "live": ({"MISS": 1, "SPLIT": 1}, "SPLIT x-wms-proxy-split")}
    seen = overview(context, weir)
    paths = {path["name"]: (path["cache"]["plays"], path["cache"]["last"]) for path in seen["paths"]}
    check(paths == expected, f"{paths}")
    readers = sorted(reader["cache"] for reader in seen["readers"]["shown"] if reader["path"] == "live")
    check(readers == ["MISS first-player", "SPLIT x-wms-proxy-split"], f"{seen['readers']['shown']}")
    for command in ("status", "top"):
        code, out, err = context.run_weir(command, str(weir.port), name=command)
        check(code == 0, f"weir {command} ended with {code}: {err[-300:]}")
        for _, last in expected.values():
            check(f"last {last}" in out, f"weir {command} does not say `last {last}`: {out}")
        check("MISS first-player" in out, f"weir {command} does not say how the first player of /live was met: {out}")
    for words in ("MISS not-cached", "HIT fresh", "REVALIDATED unchanged", "BYPASS private", "MISS first-player", "SPLIT x-wms-proxy-split"):
        check(words in weir.log(), f"the log does not say `{words}`")


def log_streaming(watcher):
    """A log of what a player received without playing it."""
    summary = SUMMARY.format(url=watcher.url).replace(" WMA WMV ", " - - ")
    watcher.player.log(body=f"<XML><Summary>{summary}</Summary></XML>")


@test(seconds_max=40, dialect=DIALECTS)
def weir_asks_relays_what_remote_events_says(context, dialect):
    """`remote-events` of a path stands in its Cache-Control; a Weir in front tells what is asked for: of a play from the origin the log, of one
    out of its cache that it began, the log, and that it ended; and nothing where nothing is asked for. Streaming logs stay where they are."""
    clip = ASFClip(context.cache, seconds=5)
    wanted = {"all": "open, close, log", "some": "close", "none": "none"}
    config = "".join(f"  {name}:\n    source: {clip.path}\n    remote-events: {words}\n" for name, words in wanted.items())
    origin = context.weir("serve", "--config", context.write("origin.yml", f"paths:\n{config}  default:\n    source: {clip.path}\n"))
    make_watcher = SIDES[dialect][1]
    for name, words in [*wanted.items(), ("default", "none")]:
        control, _ = make_watcher(context, origin, f"/{name}").describe()
        asked = re.findall(r'x-wms-event-subscription="([^"]*)"', control)
        right = set() if words == "none" else {"remote-" + word for word in words.split(", ")}
        check(set(",".join(asked).split(",")) - {""} == right and len(asked) == bool(right), f"{name}: Cache-Control: {control}")

    scheme = "mmsh" if dialect == "wmsp" else "rtspt"
    paths = "".join(f"  {name}:\n    source: {scheme}://{origin.host}:{origin.port}/{name}\n" for name in wanted)
    weir = context.weir("serve", config=f"cache-dir: {context.path('cache')}\npaths:\n{paths}")
    for name in wanted:
        for _ in range(2):
            player = make_watcher(context, weir, f"/{name}")
            player.describe()
            player.set_up()
            player.play()
            player.read_to_end()
            if dialect == "wmsp":
                log_streaming(player)
            player.log()
            player.leave()
    heard = {"remote_open": 1, "remote_log": 2, "remote_close": 2}
    wait_until(lambda: notices(context, origin)["events_heard"] == heard, 8, lambda: f"{heard}; heard were {notices(context, origin)}")
    # It knows when the origin has answered.
    wait_until(lambda: notices(context, weir)["waiting"] == 0, 5, "no event waits any more")
    told = notices(context, weir)
    check(told["waiting"] == 0 and told["delivered"] == 5 and told["refused"] == 0, f"{told}")
    check(told["logs"].get("legacy") == 6 and told["logs"].get("streaming", 0) == (6 if dialect == "wmsp" else 0), f"{told}")
    check(origin.log().count("a relay's player") == 5, "the origin's log does not tell of five events")


@test(seconds_max=30, dialect=DIALECTS)
def a_players_log_does_not_wait_for_the_origin(context, dialect):
    """LogPlay is answered while the origin still thinks about the event that was made of it."""
    gate = threading.Event()

    def hold(request, _):
        if request.kind == "application/x-wms-sendevent":
            gate.wait(20)
    side = SIDES[dialect][0](context, clip_of(context, 20), SPLIT, True, **({"hook": hold} if dialect == "rtsp" else {}))
    if dialect == "wmsp":
        side.origin.holds["SendEvent"] = gate
    player = SIDES[dialect][1](context, proxy(context, side.url()))
    player.describe()
    player.set_up()
    player.play()
    player.read(5)
    # It gives up after some seconds without an answer.
    player.log()
    wait_until(lambda: "SendEvent" in side.said(), 5, lambda: f"the origin is told: {side.said()}")
    check(not gate.is_set(), "the origin has answered")
    player.read(20)
    gate.set()
    player.leave()
    check(not side.faults, lambda: f"the origin says: {side.faults[:5]}")


@test(seconds_max=40, dialect=DIALECTS)
def events_wait_on_the_disk_for_their_origin(context, dialect):
    """What an origin that is away asked to hear waits through a restart of the relay, and is told in its order when the origin is back, once."""
    programme = clip_of(context, 3)
    make_side, make_watcher = SIDES[dialect]
    # Not asked about again: what is told is all that the origin hears of it.
    control = FILE.replace(", must-revalidate, proxy-revalidate", "") + (PUBLIC[dialect] or ", public")
    side = make_side(context, programme, control)
    weir = proxy(context, side.url())

    def played(relay):
        player = make_watcher(context, relay)
        player.describe()
        player.set_up()
        player.play()
        player.read_to_end()
        whole(player.packets, programme)
        return player
    played(weir).leave()
    wait_until(lambda: notices(context, weir)["waiting"] == 0, 5, "the first play is told")
    before = [event.number for event, _ in side.events()]
    check(before == [], f"of a play that it knows the origin was told {before}")
    side.origin.close()
    player = played(weir)
    player.log()
    player.leave()
    wait_until(lambda: notices(context, weir)["waiting"] == 3, 8, lambda: f"three events wait: {notices(context, weir)}")
    check(notices(context, weir)["origins_away"] == 1, "the status does not say that the origin is away")
    check(weir.process.stop() == 0, "weir did not end well")

    again = context.weir("serve", "--config", context.path("weir.yml"))
    wait_until(lambda: notices(context, again)["restored"] == 3, 8, lambda: f"three events are there again: {notices(context, again)}")
    check(notices(context, again)["waiting"] == 3, f"{notices(context, again)}")
    side.come_back()
    wait_until(lambda: len(side.events()) >= 3, 20, lambda: f"the events come: {side.said()}")
    wait_until(lambda: notices(context, again)["waiting"] == 0, 5, lambda: f"nothing waits any more: {notices(context, again)}")
    check([event.number for event, _ in side.events()] == [28, 30, 29], f"{[event.number for event, _ in side.events()]}")
    check(side.events()[1][0].field("s-proxied") == "1", f"{side.events()[1][0].log[:300]}")
    check(not side.faults, lambda: f"the origin says: {side.faults[:5]}")
    third = context.weir("serve", "--config", context.write("third.yml", open(context.path("weir.yml")).read())) if again.process.stop() == 0 else None
    check(third and notices(context, third)["restored"] == 0, "what was told is told again after a restart")


def status_of(weir, dialect, path, *lines):
    """The status of the answer to a Describe."""
    if dialect == "wmsp":
        answer = fetch((weir.host, weir.port), describe(path, *lines), seconds=10)
    else:
        more = "".join(line + "\r\n" for line in lines)
        answer = fetch((weir.host, weir.port), f"DESCRIBE {weir.url(path.lstrip('/'))} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n"
                                               f"User-Agent: WMPlayer/9.0.0.2980\r\n{more}\r\n".encode(), seconds=10)
    found = re.match(rb"(?:RTSP|HTTP)/1\.[01] (\d{3}) ", answer)
    check(found, lambda: f"by {dialect} {path} is answered with {answer[:200]!r}")
    return int(found[1])


@test(seconds_max=40, dialect=DIALECTS)
def live_content_stops_and_goes_on_with_its_origin(context, dialect):
    """The origin of a broadcast is gone: who plays stays, and is sent nothing; who comes meanwhile joins them; when the origin is back they go on
    with its pictures. When they have left, and it is gone again, who comes is refused."""
    programme = clip_of(context, 20)
    side = SIDES[dialect][0](context, programme, SPLIT, True)
    weir = proxy(context, side.url(), "    source-wait: 1s\n")
    players = [SIDES[one][1](context, weir) for one in DIALECTS]
    for player in players:
        player.describe()
        player.set_up()
        player.play()
        player.read(10)
    side.origin.close()
    weir.process.wait_for(lambda: "trouble=" in weir.log(), 5, "it is noticed")
    counts = [len(player.packets) for player in players]
    for one in DIALECTS:
        late = SIDES[one][1](context, weir)
        late.describe()
        late.set_up()
        late.play()
        players.append(late)
    counts += [0, 0]
    side.come_back()
    for player, count in zip(players, counts):
        player.read(count + 40)
    objects = whole_objects(programme_packets(programme))
    for player in players:
        seen = whole_objects(player.packets)
        check(seen <= objects and len(seen) > 20, f"{len(seen - objects)} of {len(seen)} objects are none of the origin's")
        player.leave()
    check(side.said().count("Play") == 1, f"the origin that came back was asked {side.said()}")
    side.origin.close()
    wait_until(lambda: overview(context, weir)["paths"][0]["state"] == "idle", 8,
               lambda: f"the path is let go of: {overview(context, weir)['paths'][0]}")
    statuses = [status_of(weir, one, "/a") for one in DIALECTS]
    check(statuses == [504, 504], f"{statuses}")


@test(seconds_max=40, dialect=DIALECTS)
def live_content_is_asked_for_no_further_than_a_request_may_go(context, dialect):
    """`Max-Forwards: 0` for a broadcast, shared by its origin's word or by the operator's: refused while the origin would have to be asked, by
    HTTP and by RTSP; served from a connection that is there."""
    side = SIDES[dialect][0](context, clip_of(context, 20), SPLIT, True)
    weir = proxy(context, side.url(), f"  b:\n    source: {side.url()}\n    broadcast: true\n")
    for path in ("/a", "/b"):
        for asker in DIALECTS:
            status = status_of(weir, asker, path, "Max-Forwards: 0")
            check(status in (502, 508), f"by {asker} {path} is answered with {status}")
    # What is behind rtsp:// has to be found out, once, to know whose rules hold.
    check(side.said() in ([], ["GetContentInfo"] if dialect == "rtsp" else []), f"the origin was asked {side.said()}")
    for path in ("/a", "/b"):
        player = SIDES[dialect][1](context, weir, path)
        player.describe()
        player.set_up()
        player.play()
        player.read(5)
        asked = len(asked_of(side))
        statuses = [status_of(weir, asker, path, "Max-Forwards: 0") for asker in DIALECTS]
        check(statuses == [200, 200] and len(asked_of(side)) == asked, f"{path}, which is there: {statuses}, the origin was asked {asked_of(side)[asked:]}")
        check(status_of(weir, dialect, path, "Max-Forwards: 1") == 200, "one that may go on is refused")


@test(seconds_max=40)
def nothing_is_asked_for_who_has_left(context):
    """A player by HTTP goes while it is being found out that rtsp:// is Windows Media: the origin is asked for no more on its behalf."""
    came, gate = threading.Event(), threading.Event()

    def hold(_request, _session):
        came.set()
        gate.wait(20)
    side = SIDES["rtsp"][0](context, clip_of(context, 20), SPLIT, True, hook=hold)
    weir = proxy(context, side.url(), f"  b:\n    source: {side.url()}\n    broadcast: true\n    linger: 0s\n")
    for place, path in enumerate(("/a", "/b")):
        came.clear(), gate.clear()
        with socket.create_connection((weir.host, weir.port)) as connection:
            connection.sendall(describe(path))
            check(came.wait(10), "the origin was not asked")
        wait_until(lambda: overview(context, weir)["totals"]["connections"] == 0, 10, "it is seen that the player left")
        asked = len(side.said())
        gate.set()
        wait_until(lambda: weir.log().count("the source has Windows Media") == place + 1, 10, "it was found out")
        time.sleep(1)
        check(len(side.said()) == asked, f"{path}: for who has left the origin was asked {side.said()[asked:]}")
