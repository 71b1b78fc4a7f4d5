"""`weir load mmsh://` and `weir probe mmsh://`: measuring servers of Windows Media, Weir and others."""
import json
import os
import time

from cases.windowsmedia import BROADCAST, mms
from harness.players import check_run
from harness.process import free_port, wait_until
from harness.registry import check, test
from harness.windowsmedia import ASFClip, Removal, as_nobody, check_whole, mms_reader, pictures_of, play
from harness.wmorigin import Origin


def start_origin(context, clip, kind):
    """A server of Windows Media that is not ours, or Weir; its URL."""
    if kind == "weir":
        weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
        return mms(weir, "tv")
    port = free_port()
    if kind == "ffmpeg":
        context.spawn("origin", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i",
                                 clip.path, "-c", "copy", "-f", "asf_stream", "-listen", "1", f"http://127.0.0.1:{port}/tv"])
    else:
        shared = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-load.asf", clip.path)).path
        context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--loop", shared, "--sout",
                                        f"#std{{access=mmsh,mux=asfh,dst=127.0.0.1:{port}/tv}}", "--sout-keep"]))
    return f"mmsh://127.0.0.1:{port}/tv"


def load(context, url, *arguments, seconds=25.0, code=0):
    ended, out, err = context.run_weir("load", url, *arguments, "--json", seconds=seconds, name="load")
    check(ended == code, lambda: f"weir load ended with code {ended}: {err[-400:]}")
    return json.loads(out)


@test(seconds_max=30, alone=True, agent=["NSPlayer/9.0.0.2980", "NSPlayer/4.1.0.3856"])
def wmsp_load_of_a_broadcast(context, agent):
    """Fifty players of a broadcast, and twenty that join meanwhile: all play, nothing is lost, in real time; old players and new ones."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    result = load(context, mms(weir, "tv"), "-n", "50", "--joiners", "20", "--join-rate", "20", "--duration", "4", "--settling", "1",
                  "--server-pid", str(weir.pid), "--user-agent", agent)
    check((result["playing"], result["lost"], result["lossy_sessions"], result["duplicates"]) == (50, 0, 0, 0), lambda: f"{result}")
    check(result["joiners"]["playing"] == 20 and result["joiners"]["lost"] == 0, lambda: f"joiners: {result['joiners']}")
    check(abs(result["real_time_ratio"] - 1) < 0.05, lambda: f"{result['real_time_ratio']} of real time")
    check(result["protocol"] == "wmsp" and result["bytes"] > 0 and result["server_cpu_ns_per_byte"] > 0, lambda: f"{result}")
    check(result["spread_readers"] == 16 and result["lateness_ms"]["p99"] is not None, lambda: f"{result}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=30, alone=True)
def wmsp_load_at_many_places(context):
    """Thirty players of a file, each at a place of its own: nothing is lost, 99 of 100 packets come within 100 ms of their send times."""
    clip = ASFClip(context.cache, seconds=30)
    weir = context.weir("relay", clip.path, "--as", "a")
    result = load(context, mms(weir, "a"), "-n", "30", "--positions", "spread", "--duration", "4", "--settling", "2")
    check((result["playing"], result["lost"]) == (30, 0), lambda: f"{result}")
    check(result["behind_ms"]["max"] is not None and result["behind_ms"]["p99"] <= 100, lambda: f"behind: {result['behind_ms']}")
    # A file that is too short for the run says so.
    result = load(context, mms(weir, "a"), "-n", "2", "--positions", "spread", "--duration", "30", code=1)
    check(any("longer file" in reason for reason in result["failures"]), lambda: f"{result['failures']}")


@test(seconds_max=30)
def wmsp_load_tells_of_ends(context):
    """Sessions that end before the window does are told with their reason; a path that is not there, too."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("relay", clip.path, "--as", "a")
    result = load(context, mms(weir, "a"), "-n", "5", "--duration", "8", "--settling", "0", code=1)
    check(result["playing"] == 0 and result["failures"] == {"the media came to its end": 5}, lambda: f"{result}")
    result = load(context, mms(weir, "nowhere"), "-n", "3", "--duration", "2", code=1)
    check(result["playing"] == 0 and any("404" in reason for reason in result["failures"]), lambda: f"{result['failures']}")


@test(seconds_max=30)
def wmsp_load_of_vlc(context):
    """Ten players of VLC's mmsh server: all play in real time, and its numbers have no gaps."""
    clip = ASFClip(context.cache)
    url = start_origin(context, clip, "vlc")
    # VLC's port is open before it has a header.
    wait_until(lambda: context.run_weir("load", url, "-n", "1", "--duration", "0.2", "--settling", "0", "--join-timeout", "2", "--json",
                                        name="try")[0] == 0, 12, "VLC to serve")
    result = load(context, url, "-n", "10", "--duration", "3", "--settling", "2")
    check(result["playing"] == 10 and result["lost"] == 0, lambda: f"{result}")


@test(seconds_max=30, origin=["broadcast", "weir", "vlc", "ffmpeg"])
def wmsp_probe(context, origin):
    """`weir probe mmsh://` tells what a server offers: streams, codecs, rates, and whether it is live or can be sought in."""
    clip = ASFClip(context.cache)
    if origin == "weir":
        weir = context.weir("relay", clip.path, "--as", "tv")
        url = mms(weir, "tv")
    else:
        url = start_origin(context, clip, "weir" if origin == "broadcast" else origin)
    out = None
    # ffmpeg and VLC need a moment until they serve.
    for attempt in range(10):
        code, out, err = context.run_weir("probe", url, "--duration", "2", "--json", name="probe")
        if code == 0:
            break
        time.sleep(0.5)
    check(code == 0, lambda: f"weir probe ended with code {code}: {err[-300:]}")
    found = json.loads(out)
    streams = {stream["kind"]: stream for stream in found["streams"]}
    check(set(streams) == {"video", "audio"}, lambda: f"streams: {found['streams']}")
    video, audio = streams["video"], streams["audio"]
    check((video["codec"], video["width"], video["height"]) == ("WMV2", 320, 240), lambda: f"video: {video}")
    check((audio["sample_rate"], audio["channels"]) == (44100, 1), lambda: f"audio: {audio}")
    check(video["objects"] >= 25 and video["bit_rate_seen"] > 100_000, lambda: f"video: {video}")
    check(found["played"]["packets"] > 20 and found["played"]["lost"] == 0 and found["played"]["broken"] == 0, lambda: f"{found['played']}")
    if origin == "weir":
        check(found["seekable"] and not found["broadcast"] and abs(found["duration"] - 10) < 0.3, lambda: f"{found}")
    elif origin == "ffmpeg":
        check(found["server"] is None and found["features"] is None, lambda: f"{found}")
    else:
        check(found["broadcast"] and not found["seekable"] and found["duration"] is None, lambda: f"{found}")
    if origin in ("weir", "broadcast"):
        check(found["server"].startswith("Cougar/9"), lambda: f"server: {found['server']}")
    elif origin == "vlc":
        check(found["server"].startswith("Cougar"), lambda: f"server: {found['server']}")


@test(seconds_max=30, player=["mplayer"])
def wmsp_players_log_in(context, player):
    """A player that has name and password in its URL plays, by Basic: MPlayer. (ffmpeg, VLC and libmms leave them out of mmsh:// URLs.)"""
    clip = ASFClip(context.cache, seconds=5)
    config = f"users:\n  viewer:\n    password: secret\naccess:\n  methods: basic\npaths:\n  a:\n    source: {clip.path}\n"
    weir = context.weir("serve", config=config)
    check_whole(play(context, player, f"mmsh://viewer:secret@{weir.host}:{weir.port}/a"), clip.pictures, player)


@test(seconds_max=30)
def wmsp_load_logs_in(context):
    """`weir load` logs in by Digest, and says what is wrong without a name and a password."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=f"users:\n  viewer:\n    password: secret\npaths:\n  a:\n    source: {clip.path}\n")
    result = load(context, f"mmsh://viewer:secret@{weir.host}:{weir.port}/a", "-n", "3", "--duration", "1", "--settling", "0.5")
    check(result["playing"] == 3, lambda: f"{result}")
    result = load(context, mms(weir, "a"), "-n", "3", "--duration", "1", code=1)
    check(any("password" in reason for reason in result["failures"]), lambda: f"{result['failures']}")


@test(seconds_max=30, player=["ffmpeg"])
def wmsp_players_follow(context, player):
    """A redirection of HTTP that leads to Weir is followed."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("relay", clip.path, "--as", "a")
    way = context.closing(Origin(redirect=mms(weir, "a").replace("mmsh://", "http://")))
    check_whole(play(context, player, way.url("elsewhere")), clip.pictures, player)
    result = load(context, way.url("elsewhere"), "-n", "3", "--duration", "1", "--settling", "0.5")
    check(result["playing"] == 3 and result["lost"] == 0, lambda: f"{result}")


@test(seconds_max=30, player=["vlc", "libmms"])
def wmsp_broadcast_is_recorded(context, player):
    """VLC and libmms write down what they get of a broadcast: from a key frame on, every picture in order."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    path = context.closing(Removal(f"/var/tmp/weir-interop-{os.getpid()}-live.asf")).path
    if player == "vlc":
        process = context.spawn("vlc", as_nobody(["cvlc", "-I", "dummy", "--no-sout-all", "--network-caching=300", "--run-time=8", mms(weir, "tv"),
                                                  "--sout", f"#std{{access=file,mux=asf,dst={path}}}", "vlc://quit"]))
        process.wait(20)
    else:
        process = context.spawn("mms-reader", ["sh", "-c", 'exec "$0" "$1" > "$2"', mms_reader(context.cache), mms(weir, "tv"), path])
        time.sleep(8)
        process.stop(3.0)
    check(os.path.exists(path), lambda: f"{player} wrote nothing: {process.text()[-400:]}")
    seen = pictures_of(context, path)
    # What was cut off at the end may decode to something else.
    check_run(seen[:-3], clip.pictures, 140, player)
    check(clip.pictures.index(seen[0]) % clip.key_every == 0, lambda: f"{player} began with picture {clip.pictures.index(seen[0])}")
