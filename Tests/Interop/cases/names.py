"""Which name serves what: several sources at once, paths made by expressions, redirections, and relays that share a load."""
import concurrent.futures
import json
import os
import time

from harness.clip import demo, demo_hashes
from harness.origin import Origin
from harness.players import NotLinked, check_run, ffmpeg_pictures, gst_pictures, is_not_linked, linked, pictures, start_publisher
from harness.process import free_port, wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test
from harness.rtsp import fetch


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def describe(weir, path, headers=""):
    return fetch((weir.host, weir.port), f"DESCRIBE {weir.url(path)} RTSP/1.0\r\nCSeq: 1\r\n{headers}\r\n".encode(), 20)


@test(seconds_max=40, scheme=["live555", "stream", "as"])
def several_sources_are_relayed(context, scheme):
    """`weir relay A B C` serves each under its own name, which the greeting tells; each is its own source's pictures."""
    origins = [context.closing(Origin()) for _ in range(3)]
    names = {"live555": ["proxyStream-1", "proxyStream-2", "proxyStream-3"], "stream": ["stream-1", "stream-2", "stream-3"],
             "as": ["door", "yard/one", "roof"]}[scheme]
    options = {"live555": ["--names", "live555"], "stream": [], "as": [word for name in names for word in ("--as", name)]}[scheme]
    # The second over TCP by its scheme alone.
    sources = [origins[0].url(), origins[1].url().replace("rtsp://", "rtspt://"), origins[2].url()]
    weir = context.weir("relay", *sources, *options)
    for name in names:
        check(weir.url(name) in weir.process.text(), f"the greeting does not tell {weir.url(name)}")
    original = demo_hashes(context.cache)
    for name, player in zip(names, ("ffmpeg", "gstreamer", "ffmpeg")):
        seen = pictures(context, player, weir.url(name), "tcp", 20, 1280, 720, name=player + name.replace("/", "-"))
        check_run(seen, original, 20, f"{player} on /{name}")
    check([origin.connections for origin in origins] == [1, 1, 1], f"connections: {[origin.connections for origin in origins]}")
    check("/TCP" in origins[1].asked("SETUP")[0].headers["transport"], "rtspt:// was not pulled over TCP")
    check("/TCP" not in origins[0].asked("SETUP")[0].headers["transport"], "rtsp:// was not pulled over UDP first")


@test(seconds_max=20)
def one_source_is_named_as_before(context):
    """One source is /stream, with `--names live555` /proxyStream; names that do not fit are refused in words."""
    origin = context.closing(Origin())
    for options, name in (((), "stream"), (("--names", "live555"), "proxyStream")):
        weir = context.weir("relay", origin.url(), *options)
        check(status_of(describe(weir, name)) == 200, f"/{name} is not served with {options}")
    for options, words in ((("--as", "a", "--as", "a"), "two sources cannot both be /a"), (("--as", "a"), "2 sources and 1 name"),
                           (("--names", "life555"), "live555")):
        code, _, err = context.run_weir("relay", origin.url(), origin.url(), *options)
        check(code == 64 and words in err, f"{options}: code {code}, {err[:200]!r}")


def gst_source(context, path, pattern):
    """A GStreamer RTSP server with one pattern at `path`; its port."""
    port = free_port()
    launch = (f"( videotestsrc is-live=true pattern={pattern} ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency "
              "key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=1 )")
    process = context.spawn("gst-origin", ["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "..", "harness", "gst_origin.py"),
                                           str(port), path, launch])
    process.wait_for(lambda: "ready" in process.out(), 15, "GStreamer's server to listen")
    return port


def overview(context, weir):
    """What `weir status --json` says of it."""
    code, out, err = context.run_weir("status", "--json", str(weir.port), name="status")
    check(code == 0, f"weir status: {err[:200]}")
    return json.loads(out)


def mean_luminance(context, url, player):
    """Of one decoded picture, to tell black from white."""
    return linked(player, lambda name: mean_luminance_once(context, url, player, name))


def mean_luminance_once(context, url, player, name):
    raw = context.path(f"one-{player}.gray")
    if player == "ffmpeg":
        process = context.spawn(name, ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "warning", "-y", "-rtsp_transport", "tcp", "-i", url,
                                       "-frames:v", "3", "-pix_fmt", "gray", "-f", "rawvideo", raw])
    else:
        process = context.spawn(name, ["gst-launch-1.0", "-q", "rtspsrc", f"location={url}", "protocols=tcp", "!", "rtph264depay", "!",
                                       "avdec_h264", "!", "videoconvert", "!", "video/x-raw,format=GRAY8", "!", "identity",
                                       "eos-after=4", "!", "filesink", f"location={raw}"], {"LIBGL_ALWAYS_SOFTWARE": "1"})
    process.wait(20)
    with open(raw, "rb") as file:
        data = file.read(320 * 240)
    if not data and is_not_linked(process):
        raise NotLinked
    check(len(data) == 320 * 240, f"{player} decoded no picture of {url}: {process.text()[-300:]}")
    return sum(data) / len(data)


@test(seconds_max=60, player=["ffmpeg", "gstreamer"])
def an_expression_serves_two_servers(context, player):
    """`~^gst-([0-9]+)$` with the port's file in the URL: two GStreamer servers by one rule; each name is its own server's pictures, and goes when nobody reads it."""
    ports = [gst_source(context, f"/cam/{number}", pattern) for number, pattern in ((1, "white"), (2, "black"))]
    config = "paths:\n" + "".join(f"  ~^{name}-([0-9]+)$:\n    source: rtsp://127.0.0.1:{port}/cam/$1\n    linger: 1s\n    allow: 127.0.0.0/8\n"
                                  for name, port in zip(("east", "west"), ports))
    weir = context.weir("serve", config=config)
    white = mean_luminance(context, weir.url("east-1"), player)
    black = mean_luminance(context, weir.url("west-2"), player)
    check(white > 200 and black < 40, f"east-1 has luminance {white:.0f}, west-2 {black:.0f}")
    began = time.monotonic()
    answer = describe(weir, "east-9")
    check(status_of(answer) in (404, 503) and time.monotonic() - began < 3, f"a camera that is not there: {answer[:60]!r}")
    check(status_of(describe(weir, "north-1")) == 404, "a name that fits no expression is served")
    seen = overview(context, weir)
    check([one["instances_ever"] for one in seen["expressions"]] == [2, 1], f"expressions: {seen['expressions']}")
    wait_until(lambda: not overview(context, weir)["paths"], 8, "the paths to go when nobody reads them")


@test(seconds_max=40)
def an_encoder_publishes_where_it_likes(context):
    """`~^studio/.+$` with `source: publish`: ffmpeg publishes under a name that nobody listed, and it is read back."""
    weir = context.weir("serve", config="paths:\n  ~^studio/.+$:\n    source: publish\n    publisher-wait: 1s\n")
    check(status_of(describe(weir, "studio/a")) == 404, "a name that nobody publishes under is served")
    clip = context.path("clip.h264")
    with open(clip, "wb") as file:
        file.write(demo().annex_b())
    publisher = start_publisher(context, clip, weir.url("studio/a"), "tcp")
    wait_until(lambda: status_of(describe(weir, "studio/a")) == 200, 10, "the name to be served")
    check_run(ffmpeg_pictures(context, weir.url("studio/a"), "tcp", 20), demo_hashes(context.cache), 20, "ffmpeg")
    publisher.stop()
    wait_until(lambda: status_of(describe(weir, "studio/a")) == 404, 8, "the name to go with its publisher")


@test(seconds_max=40, player=["ffmpeg", "gstreamer"])
def a_player_follows_where_it_is_sent(context, player):
    """`redirect:`: players follow 302 to where the stream is, and play it."""
    origin = context.closing(Origin())
    port = free_port()
    weir = context.weir("serve", port=port, config=f"""paths:
  cam:
    source: {origin.url()}
  old:
    redirect: rtsp://127.0.0.1:{port}/cam
  ~^older/(.*)$:
    redirect: rtsp://127.0.0.1:{port}/$1
""")
    for name in ("old", "older/cam"):
        seen = pictures(context, player, weir.url(name), "tcp", 20, 1280, 720, name=player + name.replace("/", "-"))
        check_run(seen, demo_hashes(context.cache), 20, f"{player} on /{name}")
    check(overview(context, weir)["totals"]["redirections"] >= 2, "redirections are not counted")


def follow(loop, url, hops=0):
    """A reader that plays, wherever it is sent: (reader, where)."""
    reader = Reader(loop, url, "tcp")
    answer = reader.describe(expect=None)
    if answer.status == 302:
        check(hops < 8, f"sent round and round: {url}")
        reader.close()
        return follow(loop, answer.headers["location"], hops + 1)
    check(answer.status == 200, f"DESCRIBE {url}: {answer.start}")
    for track in range(len(reader.controls)):
        reader.setup(track)
    reader.play()
    reader.wait_for_packets(0, 5, 15)
    return reader, url


@test(seconds_max=60)
def a_crowd_is_shared_by_three_relays(context):
    """Thirty readers ask one relay that takes ten: ten play at each of three, ffmpeg and GStreamer among them; the next one hears 453, not for ever where to go."""
    origin = context.closing(Origin())
    ports = [free_port() for _ in range(3)]
    relays = []
    for number, port in enumerate(ports):
        others = ", ".join(f"rtsp://127.0.0.1:{ports[(number + step) % 3]}" for step in (1, 2))
        folder = context.write(f"weir-{number}.yml", f"paths:\n  cam:\n    source: {origin.url()}\n    readers-max: 10\n    then: [{others}]\n")
        relays.append(context.weir("serve", "--config", folder, port=port))
    url = relays[0].url("cam")
    loop = context.closing(ReaderLoop())
    with concurrent.futures.ThreadPoolExecutor(28) as pool:
        crowd = list(pool.map(lambda _: follow(loop, url), range(28)))
    original = demo_hashes(context.cache)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        players = [pool.submit(ffmpeg_pictures, context, url, "tcp", 20), pool.submit(gst_pictures, context, url, "tcp", 20, 1280, 720)]
        for player, name in zip(players, ("ffmpeg", "gstreamer")):
            check_run(player.result(), original, 20, name)
    def shares():
        return [overview(context, relay)["paths"][0]["readers"] for relay in relays]
    wait_until(lambda: shares() == [10, 9, 9], 10, "the two players to have left")
    crowd += [follow(loop, url) for _ in range(2)]
    check(shares() == [10, 10, 10], f"readers at each relay: {shares()}")
    check([reader for reader, _ in crowd if reader.flows[0].packets == 0] == [], "a reader plays nothing")
    where, hops = url, 0
    while True:
        reader = Reader(loop, where)
        answer = reader.describe(expect=None)
        reader.close()
        if answer.status != 302:
            break
        where, hops = answer.headers["location"], hops + 1
        check(hops <= 3, f"sent on {hops} times: {where}")
    check(answer.status == 453, f"with no room anywhere: {answer.start}")


@test(seconds_max=40)
def relays_in_a_ring_say_so(context):
    """Two relays that pull from each other, and one that pulls from itself: 508 at once, in words, and few attempts."""
    ports = [free_port() for _ in range(2)]
    relays = [context.weir("serve", "--config", context.write(
        f"weir-{number}.yml", f"paths:\n  ring:\n    source: rtsp://127.0.0.1:{ports[1 - number]}/ring\n  self:\n"
        f"    source: rtsp://127.0.0.1:{ports[number]}/self\n  ~^any/(.*)$:\n    source: rtsp://127.0.0.1:{ports[number]}/any/$1\n"), port=port)
        for number, port in enumerate(ports)]
    for name in ("ring", "self", "any/thing"):
        began = time.monotonic()
        answer = describe(relays[0], name)
        check(status_of(answer) == 508 and b"its own source" in answer or b"508" in answer, f"/{name}: {answer[:80]!r}")
        check(time.monotonic() - began < 4, f"/{name} took {time.monotonic() - began:.1f} s")
    time.sleep(4)
    requests = [overview(context, relay)["totals"]["requests"] for relay in relays]
    check(max(requests) < 60, f"requests at the relays: {requests}")
