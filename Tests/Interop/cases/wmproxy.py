"""The proxy of Windows Media between a scripted player and a scripted origin that judge every byte: the sequences of [MS-RTSP] 4.6, over RTSP
and over HTTP, message by message, and the rows of the decision table."""
import json
import os
import re
import time

from harness.asffile import Objects, Packet
from harness.process import wait_until
from harness.proxiedorigin import CACHED, FRESH, Content, ProxiedOrigin
from harness.proxysides import DIALECTS, FAST, FILE, PUBLIC, SIDES, SINGLE, SPLIT, Programme, directives, whole
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip
from harness.wmplayer import Player

PROXY = "cache-dir: {folder}\npaths:\n  a:\n    source: {url}\n    linger: 300ms\n"


def clip_of(context, seconds=5, **options):
    return Programme(ASFClip(context.cache, seconds=seconds, **options).path)


def proxy(context, url, more="", **options):
    folder = context.path("cache")
    return context.weir("serve", config=PROXY.format(folder=folder, url=url) + more, **options)


def right(side):
    check(not side.faults, lambda: f"the origin says: {side.faults[:5]}")


def outcomes(context, weir):
    """How plays were met so far, by `weir status`: {"HIT": 1, …}, those that never were left out."""
    code, out, err = context.run_weir("status", str(weir.port), "--json", name="status")
    check(code == 0, f"weir status ended with {code}: {err[-300:]}")
    counts = counts_in(json.loads(out))
    check(counts is not None, "weir status says nothing of how plays were met")
    words = (("HIT", "hits"), ("MISS", "misses"), ("REVALIDATED", "revalidations"), ("SPLIT", "splits"), ("BYPASS", "bypasses"))
    return {word: counts[name] for word, name in words if counts[name]}


def counts_in(value):
    if isinstance(value, dict) and {"hits", "misses", "splits"} <= set(value):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in map(counts_in, inner) if found), None)


def programme_packets(programme):
    return [(number, Packet(raw, programme.header)) for number, raw in enumerate(programme.packets)]


def whole_objects(packets):
    objects = Objects()
    for _, packet in packets:
        objects.take(packet)
    return {(stream, data) for stream, _, _, data in objects.whole}


def check_log(event, url, player):
    """A rendering log as a proxy tells it on ([MS-WMLOG] 4)."""
    check(len(event.summary) == 52, f"a summary of {len(event.summary)} fields")
    expected = {"c-ip": "127.0.0.1", "s-proxied": "1", "protocol": "Cache", "transport": "-", "c-quality": "100", "x-duration": "5"}
    for name, value in expected.items():
        check(event.field(name) == value, f"{name} is {event.field(name)}: {event.log[:300]}")
    check(event.summary[0] == "127.0.0.1" and event.summary[51] == "1" and event.summary[22:24] == ["Cache", "-"], f"{event.summary}")
    check(re.fullmatch(r"_via_HTTP/1\.0_WMCacheProxy/9\.\d+\.\d+\.\d+", event.field("cs-User-Agent") or ""), f"{event.field('cs-User-Agent')}")
    check((event.field("s-totalclients") or "").isdigit() and (event.field("s-cpu-util") or "").isdigit(), f"{event.log[-400:]}")
    check(player.agent.startswith(event.player["WMS_USER_AGENT"]), f"{event.player}")
    check(re.fullmatch(r"\{[0-9A-Fa-f-]{36}\}", event.player["WMS_USER_GUID"]), f"{event.player}")
    check(event.url.split("://")[1] == url.split("://")[1], f"the log is about {event.url}")


@test(seconds_max=40, dialect=DIALECTS)
def seed_000_broadcast_through_a_proxy(context, dialect):
    """[MS-RTSP] 4.6.2: GetContentInfo, Describe, SelectStream, Play at the origin for the first player, nothing for the second where the origin
    lets its broadcast be split, a connection of its own where it does not; Cache-Control as the origin's; LogPlay, then remote-log alone."""
    programme = clip_of(context, 20)
    make_side, watcher = SIDES[dialect]
    side = make_side(context, programme, SPLIT, True)
    single = make_side(context, programme, SINGLE, True)
    weir = proxy(context, side.url(), f"  single:\n    source: {single.url()}\n    linger: 300ms\n")
    first = watcher(context, weir)
    control, _ = first.describe()
    check(side.said()[:2] == ["GetContentInfo", "Describe"], f"the origin was asked {side.said()}")
    check(directives(control, side.control_text) == directives(side.control_text), f"Cache-Control: {control}, the origin's: {side.control_text}")
    first.set_up()
    first.play()
    first.read(10)
    asked = side.said()
    order = [name for name in asked if name in ("GetContentInfo", "Describe", "SelectStream", "Play")]
    streams = len(programme.header.streams) if dialect == "rtsp" else 0
    check(order == ["GetContentInfo", "Describe", *["SelectStream"] * streams, "Play"], f"the origin was asked {asked}")
    side.player_named(first.agent)

    second = watcher(context, weir)
    control, _ = second.describe()
    check(directives(control, side.control_text) == directives(side.control_text), f"Cache-Control: {control}")
    second.set_up()
    second.play()
    second.read(20)
    first.read(120)
    check(side.said().count("Play") == side.said().count("Describe") == 1, f"split, the origin was asked {side.said()}")
    # The same objects for both, and the origin's.
    objects = [whole_objects(packets) for packets in (first.packets, second.packets, programme_packets(programme))]
    check(objects[1] <= objects[0] <= objects[2] and len(objects[1]) >= 10, f"{[len(one) for one in objects]} objects, {len(objects[0] & objects[1])} shared")

    # Who may not be split has a connection each; the first one's player leaves, and a later one takes it over while it lingers.
    third, fourth = (watcher(context, weir, "/single") for _ in range(2))
    for player in (third, fourth):
        player.describe()
        player.set_up()
        player.play()
        player.read(5)
    check(single.plays() == 2, f"unsplit, the origin was asked {single.said()}")

    second.log()
    event, _ = wait_until(lambda: side.events(), 5, "remote-log")[0]
    check(event.number == 30, f"event {event.number}")
    check_log(event, side.url(), second)
    for player in (first, second, third, fourth):
        player.leave()
    time.sleep(0.7)
    check([event.number for event, _ in side.events()] == [30], "a broadcast is neither opened nor closed")
    counts = outcomes(context, weir)
    check(counts == {"MISS": 1, "SPLIT": 1, "BYPASS": 2}, f"{counts}")
    right(side)
    right(single)


@test(seconds_max=40, dialect=DIALECTS)
def seed_001_file_through_a_proxy(context, dialect):
    """[MS-RTSP] 4.6.1 and 4.6.3: not in the cache, in the cache and revalidated by GetContentInfo, and not valid any more; each byte of both
    versions; remote-open behind Play, LogPlay, remote-log, remote-close."""
    old, new = clip_of(context), clip_of(context, 5, codec="msmpeg4v3", packet_bytes=1400, size="352x288")
    make_side, watcher = SIDES[dialect]
    side = make_side(context, old, FILE + PUBLIC[dialect])
    weir = proxy(context, side.url())
    first = watcher(context, weir)
    control, etag = first.describe()
    check(side.said()[:2] == ["GetContentInfo", "Describe"], f"the origin was asked {side.said()}")
    check(directives(control, side.control_text) == directives(side.control_text), f"Cache-Control: {control}, the origin's: {side.control_text}")
    first.set_up()
    first.play()
    first.read_to_end()
    whole(first.packets, old)
    check(first.header.raw == old.header.raw, "the header is not the origin's")
    counts = {name: side.said().count(name) for name in ("GetContentInfo", "Describe", "Play")}
    check(counts == {"GetContentInfo": 1, "Describe": 1, "Play": 1}, f"for the first player the origin was asked {side.said()}")
    side.player_named(first.agent)
    first.leave()

    # Cached: one question, whose answer extends it; the events in their order around the player's own messages.
    before, events = len(side.said()), len(side.events())
    second = watcher(context, weir)
    control, again = second.describe()
    check((directives(control, side.control_text), again) == (directives(side.control_text), etag), f"Cache-Control: {control}, Etag: {again}, first {etag}")
    second.set_up()
    began = time.monotonic()
    second.play()
    second.read_to_end()
    whole(second.packets, old)
    wait_until(lambda: [event.number for event, _ in side.events()[events:]] == [28], 5, "remote-open")
    check(side.events()[events][1].at >= began, "remote-open came before Play")
    logged = time.monotonic()
    second.log()
    wait_until(lambda: len(side.events()) >= events + 2, 5, "remote-log")
    event, request = side.events()[events + 1]
    check(event.number == 30, f"event {event.number} behind the log")
    check_log(event, side.url(), second)
    second.leave()
    wait_until(lambda: [event.number for event, _ in side.events()[events:]] == [28, 30, 29], 5, "remote-close")
    check(side.events()[-1][1].at >= logged, "remote-close came before the log")
    rest = [name for name in side.said()[before:] if name in ("GetContentInfo", "Describe", "SelectStream", "Play")]
    check(rest == ["GetContentInfo"], f"for what is cached the origin was asked {rest}")

    # By the other protocol, in its own words.
    crossing = SIDES["rtsp" if dialect == "wmsp" else "wmsp"][1](context, weir)
    control, _ = crossing.describe()
    added = {"user-public", "proxy-public"}
    said = set(directives(side.control_text)) - added | (added if dialect == "rtsp" else set())
    check(set(directives(control, side.control_text)) == said, f"by the other protocol Cache-Control is {control}, the origin's {side.control_text}")
    crossing.set_up()
    crossing.play()
    crossing.read_to_end()
    whole(crossing.packets, old)
    crossing.leave()

    # Changed: who plays the old one goes on with it, nobody new gets it.
    slow = watcher(context, weir)
    slow.describe()
    slow.set_up()
    slow.play()
    slow.read(5)
    side.replace(new, '"second"')
    before = len(side.said())
    third = watcher(context, weir)
    third.describe()
    check(third.header.raw == new.header.raw, "the origin's new content has another header")
    third.set_up()
    third.play()
    third.read_to_end()
    whole(third.packets, new)
    slow.read_to_end()
    whole(slow.packets, old)
    rest = [name for name in side.said()[before:] if name in ("GetContentInfo", "Describe", "Play")]
    check(rest == ["GetContentInfo", "Describe", "Play"], f"for what has changed the origin was asked {rest}")
    for player in (slow, third):
        player.leave()
    counts = outcomes(context, weir)
    check(counts == {"MISS": 2, "REVALIDATED": 3}, f"{counts}")
    right(side)


# Name, Cache-Control, seconds between the two players, what the origin is asked for the second one, and the words of the relay for it.
ROWS = [
    ("fresh", FRESH, 0, [], "HIT"),
    ("stale", FRESH.replace("86399", "1"), 1.3, ["GetContentInfo"], "REVALIDATED"),
    ("proxy-revalidate", CACHED, 0, ["GetContentInfo"], "REVALIDATED"),
    ("must-revalidate", FRESH + ", must-revalidate", 0, ["GetContentInfo"], "REVALIDATED"),
    ("private", FRESH.replace("user-public, proxy-public", "private"), 0, ["GetContentInfo", "Describe", "Play"], "BYPASS"),
    ("user-public", FRESH.replace(", proxy-public", ""), 0, ["GetContentInfo", "Describe", "Play"], "BYPASS"),
    ("nothing", "x-wms-content-size={size}", 0, ["GetContentInfo", "Describe", "Play"], "BYPASS"),
    ("public", FRESH.replace("user-public, proxy-public", "public"), 0, [], "HIT"),
    ("no-store", FRESH + ", no-store", 0, None, None),
]


def questions(origin):
    """What the origin was asked for: not what it was told."""
    return [one for one in list(origin.requests) if one.name in ("GetContentInfo", "Describe", "Play")]


def watched(context, weir, path, programme, **options):
    """A player that plays all of a path as fast as it comes; each byte is looked at."""
    player = context.closing(Player(weir.host, weir.port, path, **options))
    described = player.describe()
    check(described.header.raw == programme.header.raw, f"{path}: the header is another one")
    player.play(more=FAST)
    player.read()
    whole([(one.location, one.asf) for one in player.entries[-1].packets], programme)
    player.close()
    return described.answer


@test(seconds_max=40)
def wm_proxy_decides_by_what_the_origin_says(context):
    """A row of the decision table each: what the origin is asked for a second player, by its Cache-Control; what it does not permit is not kept,
    what must not be stored is nowhere on the disk; and an object is found again by another relay on the same folder."""
    programme = clip_of(context, 3)
    origin = context.closing(ProxiedOrigin({f"/vod/{name}": Content(programme, control) for name, control, *_ in ROWS}))
    config = "".join(f"  {name}:\n    source: {origin.url('/vod/' + name)}\n" for name, *_ in ROWS)
    folder = context.path("cache")
    config = f"cache-dir: {folder}\npaths:\n{config}"
    weir = context.weir("serve", config=config)
    for name, control, wait, expected, word in ROWS:
        answer = watched(context, weir, f"/{name}", programme)
        theirs = origin.contents[f"/vod/{name}"].control
        check(directives(answer.headers["cache-control"], theirs) == directives(theirs), f"{name}: {answer.headers}")
        check([one.name for one in questions(origin) if one.target == f"/vod/{name}"] == ["GetContentInfo", "Describe", "Play"],
              f"{name}: the origin was asked {origin.said()}")
    began = time.monotonic()
    for name, control, wait, expected, word in ROWS:
        time.sleep(max(0.0, began + wait - time.monotonic()))
        before, counts = len(questions(origin)), outcomes(context, weir)
        watched(context, weir, f"/{name}", programme)
        asked = [one.name for one in questions(origin)[before:]]
        check(expected is None or asked == expected, f"{name}: for the second player the origin was asked {asked}")
        after = outcomes(context, weir)
        check(word is None or after.get(word, 0) == counts.get(word, 0) + 1, f"{name}: {counts} became {after}")
    check(not origin.faults, lambda: f"{origin.faults[:5]}")
    code, listed, _ = context.run_weir("cache", "ls", "--cache", folder, name="ls")
    kept = set(re.findall(r"/vod/([a-z-]+)", listed))
    check(code == 0 and kept == {"fresh", "stale", "proxy-revalidate", "must-revalidate", "public"}, f"kept are {sorted(kept)}: {listed}")
    # No byte of what must not be stored.
    secret = programme.packets[7][40:104]
    stored = sum(secret in open(os.path.join(place, file), "rb").read() for place, _, files in os.walk(folder) for file in files)
    check(stored == len(kept), f"{stored} files hold the content, {len(kept)} objects are kept")

    weir.process.stop()
    again = context.weir("serve", config=config)
    before = len(questions(origin))
    watched(context, again, "/fresh", programme)
    check(len(questions(origin)) == before, f"what another relay kept was asked for again: {questions(origin)[before:]}")
    # What the origin has no more is served no more, also when it cannot be asked; the rest is, if it is not too old.
    del origin.contents["/vod/proxy-revalidate"]
    gone = fetch((again.host, again.port), describe("/proxy-revalidate"))
    check(b" 404 " in gone.split(b"\r\n")[0], lambda: f"the origin says 404, the proxy {gone[:100]!r}")
    origin.close()
    watched(context, again, "/public", programme)
    for path in ("/proxy-revalidate", "/stale", "/private"):
        gone = fetch((again.host, again.port), describe(path), seconds=8)
        check(re.match(rb"HTTP/1\.[01] 504 ", gone), lambda: f"the origin is gone, and of {path} the proxy says {gone[:100]!r}")
    again.check_alive()


def describe(path, *lines, agent="NSPlayer/9.0.0.2833", method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.0", f"User-Agent: {agent}", "Pragma: no-cache,rate=1.000,stream-time=0", *lines, "", ""]).encode()


@test(seconds_max=30)
def wm_proxy_goes_where_it_is_sent_and_not_in_a_ring(context):
    """An origin that sends on is followed, and what comes is kept; a request that was here already, or may go no further, is refused unless the
    cache has the answer; whose request it is stays said over two proxies."""
    programme = clip_of(context, 3)
    origin = context.closing(ProxiedOrigin({"/vod/b": Content(programme, FRESH), "/vod/b?r=1": Content(programme, FRESH.replace("86399", "0"))}))
    first = context.closing(ProxiedOrigin({"/vod/a": Content(None, "", redirect=origin.url("/vod/b", "http"))}))
    weir = proxy(context, first.url("/vod/a"), f"  b:\n    source: {origin.url('/vod/b')}\n  ring:\n    source: {origin.url('/vod/b')}?r=1\n")
    address = (weir.host, weir.port)
    watched(context, weir, "/a", programme)
    check(len(origin.plays) == 1 and len(first.requests) >= 1, f"{first.said()}, {origin.said()}")
    watched(context, weir, "/ring", programme)
    via = next(one.headers["via"] for one in questions(origin) if one.target == "/vod/b?r=1")
    before = len(questions(origin))
    for path, lines in (("/ring", [f"Via: {via}"]), ("/ring", [f"Via: HTTP/1.0 other, {via}"]), ("/ring", ["Max-Forwards: 0"])):
        head = fetch(address, describe(path, *lines))
        check(re.match(rb"HTTP/1\.[01] 502 ", head), lambda: f"{lines}: {head[:200]!r}")
    check(len(questions(origin)) == before, f"what was to go no further went on: {questions(origin)[before:]}")
    watched(context, weir, "/b", programme)
    head = fetch(address, describe("/b", "Max-Forwards: 0"))
    check(b" 200 " in head.split(b"\r\n")[0], lambda: f"what is cached needs no forwarding: {head[:200]!r}")
    # Two proxies in a row: what the first says of the player stays, its Via too, and the count goes down.
    outer = context.weir("serve", "--config", context.write("outer.yml", f"paths:\n  c:\n    source: http://{weir.host}:{weir.port}/ring\n"))
    watched(context, outer, "/c", programme, agent="NSPlayer/10.0.0.1")
    asked = [one for one in questions(origin)[before:] if one.target == "/vod/b?r=1" and one.name != "Play"]
    check(asked, f"{origin.said()}")
    for one in asked:
        check(one.tokens.get("proxy-client-agent", "").strip('"') == "NSPlayer/10.0.0.1", f"{one}: {one.head}")
        check(one.headers["via"].count("weir-") == 2 and one.headers["max-forwards"] == "8", f"{one}: {one.head}")
    check(not origin.faults, lambda: f"{origin.faults[:5]}")
