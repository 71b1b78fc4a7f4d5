"""Windows Media that is pulled over RTSP: by UDP and TCP, over loss, entries that change, redirections, passwords, lies; and readers by
whichever protocol."""
import re
import threading

from harness.asffile import File, Objects, Packet
from harness.lossy import LossyWay
from harness.msrtsp import ffmpeg_play, same_objects
from harness.msrtsporigin import Origin, Programme
from harness.msrtspplayer import Player
from harness.players import check_run, rtsp_input
from harness.process import wait_until
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip
from harness.wmorigin import Modern
from harness.wmorigin import Origin as HTTPOrigin, Programme as HTTPProgramme

EDGE = "paths:\n  b:\n    source: {url}\n    linger: 500ms\n    source-wait: {wait}s\n"
SCHEMES = {"udp": "rtspu", "tcp": "rtspt"}


def edge(context, url, wait=8, more="", name=None):
    config = more + EDGE.format(url=url, wait=wait)
    if name:
        return context.weir("serve", "--config", context.write(name, config))
    return context.weir("serve", config=config)


def reader_of(context, weir, transport="tcp", **options):
    player = context.closing(Player(weir.host, weir.port, "/b", transport=transport, **options))
    player.describe()
    player.set_up(pair=False)
    player.play()
    return player


def programme(context, seconds=20, **options):
    return Programme(ASFClip(context.cache, seconds=seconds, **options).path)


def right(origin):
    check(not origin.faults, lambda: f"the server says of the client: {origin.faults[:6]}")


@test(seconds_max=40, scheme=["rtspu", "rtspt", "rtsp", "mms"])
def msrtsp_is_pulled(context, scheme):
    """A broadcast is pulled from a server that judges every request; readers by RTSP and HTTP get its objects, from one connection."""
    one = programme(context)
    origin = context.closing(Origin([one], broadcast=True))
    weir = edge(context, origin.url(scheme=scheme))
    player = reader_of(context, weir)
    player.read_units(40)
    modern = context.closing(Modern(weir.port, "b"))
    player.spend(3)
    same_objects(player.units, one.file, 100)
    wait_until(lambda: sum(kind == "D" for kind, _, _ in modern.packets) > 60, 8, "packets by HTTP")
    by_http = [Packet(payload, one.header) for kind, _, payload in list(modern.packets) if kind == "D"]
    got = Objects()
    for packet in by_http:
        got.take(packet)
    check(got.broken <= 2 and len(got.whole) > 50, f"by HTTP {len(got.whole)} objects, {got.broken} broken")
    there = Objects()
    for raw in one.packets:
        there.take(Packet(raw, one.header))
    check({data for _, _, _, data in got.whole} <= {data for _, _, _, data in there.whole}, "by HTTP came what is not the file's")
    right(origin)
    check(len(origin.asked("PLAY")) == 1 and len(origin.sessions) == 1, f"{len(origin.asked('PLAY'))} Plays, {len(origin.sessions)} sessions")
    methods = [request.method for request in origin.requests if request["user-agent"].startswith("WM")]
    check(methods.index("DESCRIBE") < methods.index("SETUP") < methods.index("PLAY"), f"{methods}")
    udp = scheme != "rtspt"
    wanted = "rtx" if udp else None
    check(any(request.url.endswith("/rtx") for request in origin.asked("SETUP")) == bool(wanted), f"{[one.url for one in origin.asked('SETUP')]}")
    check(len([one for one in origin.asked("SETUP") if not one.url.endswith("/rtx")]) == 2, "not all streams were selected")
    player.teardown()
    modern.close()
    wait_until(lambda: origin.asked("TEARDOWN"), 8, "the pull ends when nobody looks")
    check(origin.asked("SET_PARAMETER", "application/x-wms-logplaystats"), "the server got no log")
    right(origin)


@test(seconds_max=40, upstream=["rtspu", "rtspt", "mmsh"])
def msrtsp_same_pictures_by_both(context, upstream):
    """Weir to Weir: readers by MS-RTSP over UDP and TCP and by WMSP see the same pictures, of one pull, whichever protocol that speaks."""
    clip = ASFClip(context.cache)
    far = context.weir("serve", config=f"paths:\n  tv:\n    source: {clip.path}\n    broadcast: true\n")
    weir = edge(context, f"{upstream}://{far.host}:{far.port}/tv")
    processes = [context.spawn(f"ffmpeg-{n}", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", *options, "-map", "0:v",
                                               "-frames:v", "100", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])
                 for n, options in enumerate((rtsp_input(weir.url("b"), "udp"), rtsp_input(weir.url("b"), "tcp"), ["-i", f"mmsh://{weir.host}:{weir.port}/b"]))]
    for process in processes:
        check(process.wait(30) == 0, lambda: f"{process.name}: {process.err()[-300:]}")
        seen = [line.split(",")[5].strip() for line in process.out().splitlines() if line and line[0] != "#"]
        check_run(seen, clip.pictures, 100, process.name)
    opened = [line for line in weir.log().splitlines() if "Pulling" in line or "pulling" in line]
    check(len(opened) <= 1 or upstream == "mmsh", lambda: f"the log tells of several pulls: {opened}")


@test(seconds_max=40, way=["rtx", "fec", "both"])
def msrtsp_pull_over_loss(context, way):
    """Weir to Weir, five of a hundred packets lost on the way: they come again, or are computed, and readers get every object whole; counted."""
    clip = ASFClip(context.cache, seconds=10)
    file = File(clip.path)
    config = f"paths:\n  tv:\n    source: {clip.path}\n    broadcast: true\n" + ("" if way == "rtx" else "    fec: 8/3\n")
    far = context.weir("serve", "--config", context.write("far.yml", config))
    lossy = context.closing(LossyWay(far.port, seed=3, reports=way != "fec"))
    weir = edge(context, f"rtspu://127.0.0.1:{lossy.port}/tv")
    player = reader_of(context, weir)
    player.spend(9)
    counts = dict(lossy.counts)
    got = Objects()
    for unit in player.units:
        got.take(unit.asf)
    print(f"note: {way}: {counts}, {len(got.whole)} objects whole, {got.broken} broken")
    check(counts["lost"] > 15, f"{counts}")
    check(("rtx" in counts) == (way != "fec") or way == "both", f"{counts}")
    if way == "fec":
        check(got.broken <= 4 and len(got.whole) > 200, f"{got.broken} objects are broken, {len(got.whole)} whole: {counts}")
        return
    check(got.broken <= 2, f"{got.broken} objects are broken, {len(got.whole)} whole: {counts}")
    same_objects(player.units, file, 200)
    check(way == "both" or counts["rtx"] >= counts["lost"] * 0.9, f"{counts}")


@test(seconds_max=60, transport=["udp", "tcp"])
def msrtsp_pull_follows_entries(context, transport):
    """EndOfStream and Announce from the server: readers go on where the header describes the same streams, and are told where it does not."""
    entries = [programme(context, 5), programme(context, 5, codec="msmpeg4v3", packet_bytes=1400, size="352x288"), programme(context, 5)]
    origin = context.closing(Origin(entries, broadcast=True))
    weir = edge(context, origin.url(scheme=SCHEMES[transport]))
    player = reader_of(context, weir)
    modern = context.closing(Modern(weir.port, "b"))
    for number in range(2):
        player.wait(lambda: len(player.entries) == number + 2, 14, "Announce")
        check(player.header.packet_bytes == entries[number + 1].header.packet_bytes, "the header is not the next entry's")
        if player.entries[-1].predicted is None:
            player.drop_old()
            player.set_up(pair=False)
            player.play()
        else:
            player.play(kept=sorted(player.tracks))
        player.wait(lambda: len(player.units) >= 10, 8, "packets of the next entry")
    check(re.match("MHD.*CMHD", modern.kinds()), f"the player by HTTP got {modern.kinds()}")
    right(origin)
    session = next(iter(origin.sessions.values()))
    check([status for _, status in session.answers] == [200] * len(session.answers) and len(session.answers) >= 4, f"{session.answers}")
    check(len(origin.sessions) == 1, "the server was asked anew")


@test(seconds_max=40)
def msrtsp_split_broadcast(context):
    """The composed exchange of a split broadcast: one session upstream for two players, Via and the player's name in it, all streams, a burst;
    EndOfStream and Announce for both with the relay's own number; a player's log goes on as an event; the end."""
    entries = [programme(context, 5), programme(context, 5, codec="msmpeg4v3", packet_bytes=1400, size="352x288")]
    origin = context.closing(Origin(entries, broadcast=True))
    weir = edge(context, origin.url(scheme="rtspt"))
    first = reader_of(context, weir)
    first.read_units(5)
    second = reader_of(context, weir, "udp")
    second.read_units(5)
    check(len(origin.asked("DESCRIBE")) == 1 == len(origin.asked("PLAY")), f"{[one.method for one in origin.requests]}")
    describe, play = origin.asked("DESCRIBE")[0], origin.asked("PLAY")[0]
    check((describe["user-agent"] or "").startswith(("WMServer/", "WMCacheProxy/")), f"User-Agent: {describe['user-agent']}")
    check((describe["via"] or "").startswith("RTSP/1.0 "), f"Via: {describe['via']}")
    check(play["bandwidth"] == "2147483647" and play["x-burst-streaming"], f"{play}")
    for request in origin.asked("SETUP"):
        check(request["x-playlist-gen-id"] == "27006", f"SETUP: X-Playlist-Gen-Id: {request['x-playlist-gen-id']}")
    while len(first.entries) < 2 or len(second.entries) < 2:
        first.step(0.02)
        second.step(0.02)
    for player in (first, second):
        check(player.generation and player.entries[0].ended.is_entry, f"{player.entries[0].ended.fields}")
        check(player.header.packet_bytes == 1400, "the header is not the next entry's")
        if player.entries[-1].predicted is not None:
            player.play(kept=sorted(player.tracks))
    first.log_play()
    wait_until(lambda: origin.asked("SET_PARAMETER", "application/x-wms-sendevent"), 5, "the player's log goes on")
    event = origin.asked("SET_PARAMETER", "application/x-wms-sendevent")[0].body.decode()
    check(event.startswith("1\r\n1,30,0\r\n") and "@.REMOTE_LOG" in event and "WMPlayer/9.0.0.2980" in event, f"{event[:300]}")
    for player in (first, second):
        player.teardown()
    wait_until(lambda: origin.asked("TEARDOWN"), 8, "the session upstream ends")
    right(origin)


@test(seconds_max=40, predicts=["predicted", "not"])
def msrtsp_pull_goes_on_in_same_header(context, predicts):
    """Entries of one header are one programme: no reader notices the seam."""
    one = programme(context, 5)
    origin = context.closing(Origin([one, one, one], broadcast=True, predicts=predicts == "predicted"))
    weir = edge(context, origin.url(scheme="rtspt"))
    seen = ffmpeg_play(context, weir.url("b"), "tcp", frames=240)
    clip = ASFClip(context.cache, seconds=5)
    check_run(seen, clip.pictures, 240, "ffmpeg")
    right(origin)


@test(seconds_max=40, password=[("Basic", 401), ("Digest", 401), ("Digest", 407)])
def msrtsp_passwords_upstream(context, password):
    """Name and password of the URL answer servers and proxies; they are in no log."""
    one = programme(context, 5)
    origin = context.closing(Origin([one], password=password, broadcast=True))
    weir = edge(context, origin.url(credentials="viewer:s3cret@", scheme="rtspt"))
    player = reader_of(context, weir)
    player.read_units(30)
    check("s3cret" not in weir.log(), "the password is in the log")
    wrong = context.closing(Origin([one], password=password, broadcast=True))
    other = edge(context, wrong.url(credentials="viewer:wr0ng@", scheme="rtspt"), wait=3, name="wrong.yml")
    answer = fetch((other.host, other.port), f"DESCRIBE {other.url('b')} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: WMPlayer/9.0\r\n\r\n".encode(), seconds=8)
    check(answer.startswith(b"RTSP/1.0 503") and b"wr0ng" not in answer, lambda: f"{answer[:200]}")
    check("wr0ng" not in other.log(), "the wrong password is in the log")
    check(len(wrong.requests) < 30, f"{len(wrong.requests)} requests with a wrong password")


@test(seconds_max=40)
def msrtsp_pull_follows_redirections(context):
    """302 of a Describe leads to another server; servers that lead in a circle are given up."""
    one = programme(context, 5)
    origin = context.closing(Origin([one], broadcast=True))
    way = context.closing(Origin([one], redirect=origin.url()))
    weir = edge(context, way.url(scheme="rtspt"))
    player = reader_of(context, weir)
    player.read_units(20)
    right(origin)
    first = context.closing(Origin([one]))
    second = context.closing(Origin([one], redirect=first.url()))
    first.redirect = second.url()
    other = edge(context, first.url(scheme="rtspt"), wait=3, name="circle.yml")
    answer = fetch((other.host, other.port), f"DESCRIBE {other.url('b')} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: WMPlayer/9.0\r\n\r\n".encode(), seconds=8)
    check(answer.startswith(b"RTSP/1.0 503"), lambda: f"{answer[:200]}")
    check(2 <= len(first.requests) + len(second.requests) <= 80, f"{len(first.requests)} and {len(second.requests)} requests")


@test(seconds_max=40, transport=["udp", "tcp"])
def msrtsp_pull_reconnects(context, transport):
    """The connection to the server breaks: the pull comes back, with the session that it had or anew, and readers stay."""
    one = programme(context)
    origin = context.closing(Origin([one], broadcast=True))
    weir = edge(context, origin.url(scheme=SCHEMES[transport]))
    player = reader_of(context, weir)
    player.read_units(20)
    session = next(iter(origin.sessions))
    before = len(origin.requests)
    origin.cut()
    player.spend(1)
    count = len(player.units)
    player.wait(lambda: len(player.units) >= count + 30, 15, "packets behind the break")
    later = origin.requests[before:]
    print("note: after the break: " + ", ".join(one.method + (" with the session" if (one["session"] or "").startswith(session) else "")
                                                for one in later[:6]))
    check(any((one["session"] or "").partition(";")[0] == session for one in later), "the session that it had was not named again")
    check(not player.is_over, "the reader was let go")


@test(seconds_max=40, case=["udp-refused", "rtsp-refused", "udp-silent"])
def msrtsp_rollover(context, case):
    """mms:// tries RTSP over UDP, RTSP over TCP, HTTP, in this order, and takes what works."""
    clip = ASFClip(context.cache)
    if case == "rtsp-refused":
        origin = context.closing(HTTPOrigin([(HTTPProgramme(clip.path), None)]))
        url = f"mms://127.0.0.1:{origin.port}/tv"
    else:
        origin = context.closing(Origin([programme(context)], broadcast=True, transports=("tcp",) if case == "udp-refused" else ("udp", "tcp"),
                                        lose=(lambda _: True) if case == "udp-silent" else None))
        url = origin.url(scheme="mms")
    weir = edge(context, url, wait=20)
    player = context.closing(Player(weir.host, weir.port, "/b", seconds=25))
    player.describe()
    player.set_up()
    player.play()
    player.read_units(20, seconds=25)
    if case == "rtsp-refused":
        same_objects(player.units, File(clip.path), 10)
        return
    check(any("RTP/AVP/TCP" in (one["transport"] or "") for one in origin.asked("SETUP")), "TCP was not tried")
    right(origin)


LIES = ["header", "no-data-object", "maxps", "streams", "fec", "session-long", "garbage", "ssrc", "length", "announce-broken", "announce-first",
        "silent", "type"]


@test(seconds_max=40, lie=LIES)
def msrtsp_lying_servers(context, lie):
    """A server that lies in its description, its packets or its announcements harms nobody: another path's reader gets everything."""
    clip = ASFClip(context.cache, seconds=10)
    liar = context.closing(Origin([programme(context, 5)] * 2, broadcast=True, wrong=[lie], fec=(8, 2) if lie == "fec" else None))
    scheme = "rtspu" if lie in ("fec", "ssrc", "length") else "rtspt"
    weir = context.weir("serve", config=EDGE.format(url=liar.url(scheme=scheme), wait=3) + f"  good:\n    source: {clip.path}\n    broadcast: true\n")
    good = context.closing(Player(weir.host, weir.port, "/good"))
    good.describe()
    good.set_up()
    good.play()
    good.read_units(1)

    def look():
        try:
            victim = Player(weir.host, weir.port, "/b", seconds=12)
            if victim.describe(status=None).status == 200:
                victim.set_up()
                victim.play()
                victim.spend(7)
            victim.close()
        except Exception:  # noqa: BLE001: of a lying server nothing is expected
            pass
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    good.spend(9)
    same_objects(good.units, File(clip.path), 250)
    check(not good.is_over, "the good path's reader was let go")
    check(len(liar.requests) < 200, f"the liar was asked {len(liar.requests)} times in nine seconds")
    thread.join(8)
    weir.check_alive()
