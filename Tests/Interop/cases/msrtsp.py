"""Windows Media over RTSP (MS-RTSP): ASF on demand and live, to real players, by UDP and TCP."""
import time

from harness.msrtsp import ffmpeg_play, gst_play, play, short_of
from harness.players import check_run, rtsp_input
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip, check_whole
from harness.windowsmedia import play as play_http

BROADCAST = "paths:\n  tv:\n    source: {path}\n    broadcast: true\n"
WAYS = [("ffmpeg", "udp"), ("ffmpeg", "tcp"), ("gstreamer", "udp"), ("gstreamer", "tcp"), ("mplayer", "udp"), ("mplayer", "tcp")]


@test(seconds_max=60, way=WAYS)
def msrtsp_on_demand(context, way):
    """Each player gets a file from its beginning to its end: every picture, in order."""
    player, transport = way
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("relay", clip.path, "--as", "a")
    seen = play(context, player, weir.url("a"), transport, frames=len(clip.pictures) if player == "gstreamer" else None)
    check_whole(seen, clip.pictures, player)
    weir.check_alive()


@test(seconds_max=60, case=[("wmv2", 1400, "udp"), ("msmpeg4v3", 8192, "udp"), ("msmpeg4v3", 8192, "tcp"), ("wmv1", 16000, "udp"), ("wmv1", 16000, "tcp")])
def msrtsp_of_all_sizes(context, case):
    """Small and large packets, other codecs, to ffmpeg and GStreamer."""
    codec, packet_bytes, transport = case
    clip = ASFClip(context.cache, codec=codec, packet_bytes=packet_bytes, seconds=5)
    weir = context.weir("relay", clip.path, "--as", "a")
    check_whole(ffmpeg_play(context, weir.url("a"), transport), clip.pictures, "ffmpeg")
    check_whole(gst_play(context, weir.url("a"), transport, codec, frames=len(clip.pictures)), clip.pictures, "gstreamer")


@test(seconds_max=60, way=WAYS)
def msrtsp_broadcast(context, way):
    """A broadcast from a key frame on, over the end of a round, in order."""
    player, transport = way
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    time.sleep(1.5)
    seen = play(context, player, weir.url("tv"), transport, frames=180)
    check_run(seen, clip.pictures, 180 - short_of(player), player)
    check(clip.pictures.index(seen[0]) % clip.key_every == 0, lambda: f"{player} began with picture {clip.pictures.index(seen[0])}")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")
    weir.check_alive()


@test(seconds_max=60, way=[("ffmpeg", "udp"), ("ffmpeg", "tcp")])
def msrtsp_seeks(context, way):
    """A player that begins in the middle gets the rest of the file, from a key frame; as over HTTP."""
    player, transport = way
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    seen = play(context, player, weir.url("a"), transport, start=6)
    first = clip.pictures.index(seen[0]) if seen and seen[0] in clip.pictures else None
    check(first is not None, f"{player}: {len(seen)} pictures, and the first is none of the file's")
    check(4 * 25 <= first <= 6 * 25, f"{player} began with picture {first}; {6 * 25} was asked for")
    check_whole(seen, clip.pictures[first:], player)
    by_http = play_http(context, "ffmpeg", f"mmsh://{weir.host}:{weir.port}/a", start=6)
    check(by_http == seen, f"over HTTP it got {len(by_http)} pictures, over RTSP {len(seen)}")


@test(seconds_max=60, transport=["udp", "tcp"])
def msrtsp_gstreamer_seeks(context, transport):
    """GStreamer plays, then goes to another place: what comes then is the rest of the file, from a key frame."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "a")
    seen = gst_play(context, weir.url("a"), transport, start=6, frames=150, options="latency=0 buffer-mode=none")
    # A few from before.
    jump = next((n for n, picture in enumerate(seen) if picture in clip.pictures and n < clip.pictures.index(picture)), None)
    check(jump is not None, f"{len(seen)} pictures came, none of them from behind the place that was sought")
    first = clip.pictures.index(seen[jump])
    check(seen[:jump] == clip.pictures[:jump], "what came before the seek is not the file's beginning")
    check(first % clip.key_every == 0 and 4 * 25 <= first <= 6 * 25, f"after the seek it began with picture {first}")
    check_run(seen[jump:], clip.pictures, 30, "GStreamer")


@test(seconds_max=30)
def msrtsp_says_who_it_is(context):
    """WMServer stands in answers about Windows Media, and nowhere else: ffmpeg would take plain RTSP for MS-RTSP by it."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path) + "  plain:\n    source: publish\n")
    answers = {path: fetch((weir.host, weir.port), f"OPTIONS {weir.url(path)} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()) for path in ("tv", "plain", "")}
    check(b"\r\nServer: WMServer/9." in answers["tv"] and b"ANNOUNCE" in answers["tv"], lambda: f"{answers['tv']}")
    for path in ("plain", ""):
        check(b"WMServer" not in answers[path] and answers[path].startswith(b"RTSP/1.0 200"), lambda: f"{path}: {answers[path]}")
    alone = context.weir("relay", clip.path, "--as", "a")
    answer = fetch((alone.host, alone.port), f"OPTIONS rtsp://{alone.host}:{alone.port} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
    check(b"\r\nServer: WMServer/9." in answer, lambda: f"where all is Windows Media: {answer}")


@test(seconds_max=60, transport=["udp", "tcp"])
def msrtsp_many_players_at_once(context, transport):
    """Four ffmpegs of one broadcast, and a player by HTTP beside them, see the same."""
    clip = ASFClip(context.cache, seconds=5)
    weir = context.weir("serve", config=BROADCAST.format(path=clip.path))
    processes = [context.spawn(f"ffmpeg-{n}", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y",
                                               *rtsp_input(weir.url("tv"), transport), "-map", "0:v", "-frames:v", "100", "-vsync", "passthrough", "-c:v", "rawvideo",
                                               "-f", "framemd5", "-"]) for n in range(4)]
    processes.append(context.spawn("ffmpeg-http", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-i",
                                                   f"mmsh://{weir.host}:{weir.port}/tv", "-map", "0:v", "-frames:v", "100", "-vsync", "passthrough",
                                                   "-c:v", "rawvideo", "-f", "framemd5", "-"]))
    for process in processes:
        code = process.wait(30)
        check(code == 0, lambda: f"{process.name} ended with code {code}")
        check_run([line.split(",")[5].strip() for line in process.out().splitlines() if line and line[0] != "#"], clip.pictures, 100, process.name)
