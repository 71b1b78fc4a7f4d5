"""Which name serves what: several sources at once, paths made by expressions, redirections, and relays that share a load."""
import concurrent.futures
import os
import re
import time

from harness.clip import demo, demo_hashes
from harness.origin import Origin
from harness.players import check_run, ffmpeg_pictures, gst_pictures, pictures, start_publisher
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
