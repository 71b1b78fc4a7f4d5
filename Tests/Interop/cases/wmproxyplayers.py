"""Real players behind a Weir proxy: in front of a Weir origin (kept, and played on when the origin is gone) and of VLC's server (split)."""
import concurrent.futures
import os
import re
import time

from harness.msrtsp import gst_play
from harness.players import check_run
from harness.process import free_port, wait_until
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip, Removal, as_nobody, check_whole, pictures_of, play

from .windowsmedia import decoded_rows, ffmpeg_reader, mms
from .wmproxy import describe, outcomes


def all_players(context, weir, path, clip):
    """ffmpeg, VLC and MPlayer by HTTP and GStreamer by RTSP, at the same time: each decodes every picture of the file."""
    sums = context.path("mplayer-mms.md5")
    if os.path.exists(sums):
        os.remove(sums)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = {player: pool.submit(play, context, player, mms(weir, path)) for player in ("ffmpeg", "vlc", "mplayer")}
        runs["gstreamer"] = pool.submit(gst_play, context, weir.url(path), "tcp")
        for player, run in runs.items():
            check_whole(run.result(), clip.pictures, player)


@test(seconds_max=60)
def real_players_behind_a_proxy(context):
    """Four players at once have a file of one play of the origin, decoded picture by picture; again out of the cache; and again when the origin
    is gone. What is not kept then is refused with words, what is live comes to its end, and `weir top` and the log tell of it all."""
    clip = ASFClip(context.cache, seconds=5)
    port = free_port()
    config = context.write("origin.yml", f"paths:\n  clip:\n    source: {clip.path}\n  tv:\n    source: {clip.path}\n    broadcast: true\n")
    # By another name than Weir's: it is to be killed.
    origin = context.spawn("origin", [context.weir_path, "serve", "--config", config, "--listen", f"127.0.0.1:{port}"])
    origin.wait_for(lambda: "Listening on" in origin.text(), 10, "it listens")
    url = f"mmsh://127.0.0.1:{port}"
    weir = context.weir("serve", config=f"cache-dir: {context.path('cache')}\npaths:\n  clip:\n    source: {url}/clip\n  tv:\n    source: {url}/tv\n"
                                        f"  other:\n    source: {url}/clip?other\n")
    all_players(context, weir, "clip", clip)
    first = outcomes(context, weir)
    check(first.get("MISS", 0) >= 1 and first.get("BYPASS", 0) == 0, f"the first round: {first}")
    began = sum("Windows Media begins" in line for line in origin.text().splitlines())
    check(began <= 2, f"the origin played {began} times for four players")
    all_players(context, weir, "clip", clip)
    second = outcomes(context, weir)
    again = sum(second.get(word, 0) - first.get(word, 0) for word in ("HIT", "REVALIDATED"))
    # GStreamer may have begun twice: see `linked`.
    check(again in (4, 5) and second["MISS"] == first["MISS"], f"{first} became {second}")
    check(sum("Windows Media begins" in line for line in origin.text().splitlines()) == began, "the second round was not out of the cache")

    live = ffmpeg_reader(context, mms(weir, "tv"), 2000, name="ffmpeg-live")
    live.wait_for(lambda: live.out().count("\n") > 40, 15, "pictures came")
    origin.kill()
    all_players(context, weir, "clip", clip)
    third = outcomes(context, weir)
    check(third.get("HIT", 0) - second.get("HIT", 0) in (4, 5), f"{second} became {third}")
    check("origin-unreachable" in weir.log(), "the log does not say why")
    gone = fetch((weir.host, weir.port), describe("/other"), seconds=8)
    check(re.match(rb"HTTP/1\.[01] 504 ", gone), lambda: f"what is not kept: {gone[:200]!r}")
    rows = [line for line in live.out().splitlines() if not line.startswith("#")]
    strange = [row for row in rows if row.split(",")[5].strip() not in clip.pictures]
    check(not strange, f"{len(strange)} live pictures are none of the origin's")
    live.kill()


@test(seconds_max=60)
def vlc_is_split(context):
    """VLC's server has one connection, whoever looks: ffmpeg by HTTP and RTSP, MPlayer and VLC by HTTP and GStreamer by RTSP see its pictures
    behind a Weir whose cache keeps nothing of it."""
    # Longer than this takes: where VLC turns back it cuts a picture.
    clip = ASFClip(context.cache, seconds=40)
    port = free_port()
    shared = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-split.asf", clip.path)).path
    vlc = context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--loop", shared, "--sout",
                                          f"#std{{access=mmsh,mux=asfh,dst=127.0.0.1:{port}/tv}}", "--sout-keep"]))
    # Until it serves, whoever asks through Weir is told that it does not (504), and goes.
    wait_until(lambda: serves(port, "tv"), 15, "VLC to serve")
    folder = context.path("cache")
    weir = context.weir("relay", f"mmsh://127.0.0.1:{port}/tv", "--as", "b", "--cache", folder)
    readers = [ffmpeg_reader(context, url, 75, name=f"ffmpeg-{n}") for n, url in enumerate([mms(weir, "b"), mms(weir, "b"), weir.url("b")])]
    recorded = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-live.asf")).path
    recorder = context.spawn("vlc-player", as_nobody(["cvlc", "-I", "dummy", "--no-sout-all", "--network-caching=300", mms(weir, "b"), "--sout",
                                                      f"#std{{access=file,mux=asf,dst={recorded}}}"]))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {"mplayer": pool.submit(play, context, "mplayer", mms(weir, "b"), frames=75),
                "gstreamer": pool.submit(gst_play, context, weir.url("b"), "tcp", frames=75)}
        wait_until(lambda: connections(vlc.pid, port) == 1, 10, lambda: f"one connection ({connections(vlc.pid, port)})")
        for reader in readers:
            check_run([row[5] for row in decoded_rows(reader, 30)], clip.pictures, 70, reader.name)
        for player, run in runs.items():
            check_run(run.result(), clip.pictures, 70, player)
    recorder.wait_for(lambda: os.path.exists(recorded) and os.path.getsize(recorded) > 400_000, 20, "VLC recorded four seconds")
    check(connections(vlc.pid, port) == 1, f"{connections(vlc.pid, port)} connections to VLC's server")
    recorder.stop()
    # It begins before a key frame and ends in mid-picture.
    seen = pictures_of(context, recorded)[:-2]
    began = next((number for number, picture in enumerate(seen) if picture in clip.pictures), len(seen))
    check(began <= clip.key_every, f"the first {began} of VLC's {len(seen)} pictures are none of the origin's")
    check_run(seen[began:], clip.pictures, 70, "VLC")
    counts = outcomes(context, weir)
    check(counts.get("SPLIT", 0) >= 5 and counts.get("MISS", 0) == 1 and set(counts) == {"SPLIT", "MISS"}, f"{counts}")
    code, listed, _ = context.run_weir("cache", "ls", "--cache", folder, name="ls")
    check(code == 0 and "/tv" not in listed, f"kept is {listed}")
    time.sleep(0.1)
    weir.check_alive()


def serves(port, path):
    """Whether the server has a header: its port is open before that."""
    try:
        answer = fetch(("127.0.0.1", port), f"GET /{path} HTTP/1.0\r\nUser-Agent: NSPlayer/4.1.0.3856\r\nPragma: no-cache\r\n\r\n".encode(), 1.0, True)
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.0 200") and b"\r\n\r\n$H" in answer


def connections(_pid, port):
    """How many connections to a port of this machine stand."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(int(row[1].split(":")[1], 16) == port and row[3] == "01" for row in rows)
