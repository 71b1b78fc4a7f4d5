"""Large key frames: players that do nothing about their socket buffers lose nothing."""
import json
import os
import signal

from harness.clip import cached, ffmpeg, framemd5, slices
from harness.players import GST_ENVIRONMENT, check_run, start_publisher
from harness.process import wait_until
from harness.registry import Failure, check, test

# What a socket gets that asks for nothing (net.core.rmem_default), as asked for: Linux doubles what SO_RCVBUF is given.
SYSTEM_DEFAULT_BYTES = 212_992 // 2
PICTURES, KEY_EVERY = 100, 25


def heavy_clip(cache_folder):
    """4 s of 3840x2160 H.264: a key frame of about 425 kB every second, some 5 kB each between them, no two pictures alike."""
    return cached(cache_folder, "heavy.mp4", lambda path: ffmpeg(
        "-f", "lavfi", "-i", "color=gray:s=3840x2160:r=1:d=4,noise=alls=8:allf=t,fps=25",
        "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-filter_complex", f"[0][1]overlay=64:64,trim=end_frame={PICTURES}",
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", KEY_EVERY, "-keyint_min", KEY_EVERY,
        "-sc_threshold", "0", "-qp", "30", path))


def byte_stream(*arguments):
    """The clip's video as H.264 byte stream."""
    return ffmpeg(*arguments, "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264", "-")


def parameter_sets(path):
    return b"".join(b"\0\0\1" + unit for unit in byte_stream("-i", path, "-frames:v", "1").split(b"\0\0\1")
                    if unit and unit[0] & 0x1F in (7, 8))


def check_clip(path):
    """The clip is what the test is about: returns its slices."""
    stream = byte_stream("-i", path)
    units = slices(stream)
    check(len(units) == PICTURES and len({md5 for md5, _ in units}) == PICTURES, f"the clip has {len(units)} slices")
    sizes = ffmpeg("-i", path, "-c", "copy", "-f", "framecrc", "-").decode().splitlines()
    keys = [int(line.split(",")[4]) for line in sizes if line[:1].isdigit()][::KEY_EVERY]
    check(all(350_000 < size < 450_000 for size in keys), f"the clip's key frames have {keys} bytes")
    return [md5 for md5, _ in units]


def start_players(context, url, label):
    """Players over UDP that write what they receive to files, undecoded: {name: (process, file)}."""
    players = {}
    for limit in (None, SYSTEM_DEFAULT_BYTES):
        words = "own" if limit is None else "system"
        file = context.path(f"{label}-ffmpeg-{words}.h264")
        command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-rtsp_transport", "udp",
                   *(["-buffer_size", limit] if limit else []), "-i", url, "-map", "0:v", "-c", "copy", "-f", "h264", file]
        players[f"ffmpeg, {words} default"] = context.spawn(f"{label}-ffmpeg-{words}", command), file
        file = context.path(f"{label}-gstreamer-{words}.h264")
        command = ["gst-launch-1.0", "-q", "rtspsrc", f"location={url}", "protocols=udp", "latency=200",
                   *([f"udp-buffer-size={limit}"] if limit else []), "!", "application/x-rtp,media=video", "!", "rtph264depay", "!",
                   "video/x-h264,stream-format=byte-stream", "!", "filesink", f"location={file}"]
        players[f"GStreamer, {words} default"] = context.spawn(f"{label}-gstreamer-{words}", command, GST_ENVIRONMENT), file
    return players


def receive(context, weir, path, label):
    """100 readers measured beside the players: (weir load's result, {player: slices})."""
    players = start_players(context, weir.url(path), label)
    wait_until(lambda: all(os.path.exists(file) and os.path.getsize(file) for _, file in players.values()), 15,
               "the beginning of every player's file")
    _, out, _ = context.run_weir("load", weir.url(path), "-n", "100", "--duration", "6", "--settling", "1", "--json",
                                 seconds=40, name=f"weir-load-{label}")
    received = {}
    for name, (process, file) in players.items():
        check(process.running, f"{name} ended by itself")
        process.stop(5, signal.SIGINT)
        with open(file, "rb") as stream:
            received[name] = [md5 for md5, _ in slices(stream.read())][:-1]  # the last one may be cut off
    return json.loads(out), received, players


def missing(seen, original):
    """How many of the origin's slices are not in what was seen, from its first to its last."""
    known = [original.index(md5) for md5 in seen if md5 in original]
    if not known:
        return len(original)
    span = 1
    for before, after in zip(known, known[1:]):
        span += (after - before) % len(original) or len(original)
    return span - len(known) + len(seen) - len(known)


@test(seconds_max=100, alone=True)
def large_key_frames_overrun_nobody(context):
    """4K with key frames of 425 kB, 100 readers: ffmpeg and GStreamer at their and the system's default buffers lose nothing."""
    clip = heavy_clip(context.cache)
    original = check_clip(clip)
    weir = context.weir("serve", config="paths:\n  paced:\n    source: publish\n    source-wait: 15s\n"
                                        "  unpaced:\n    source: publish\n    source-wait: 15s\n    pacing: off\n")
    start_publisher(context, clip, weir.url("paced"), "tcp", name="publisher-paced")
    for attempt in range(3):
        load, received, players = receive(context, weir, "paced", f"paced-{attempt}")
        check(load["playing"] == 100 and load["lost"] == 0, f"weir load: {load['playing']} play, {load['lost']} packets lost")
        try:
            for name, seen in received.items():
                check_run(seen, original, 6 * 25, name)
            break
        except Failure as failure:
            # These buffers hold some 15 ms of a key frame: a player that gets no processor for so long loses of it all the same.
            print(f"note: attempt {attempt + 1}: {failure}")
            if attempt == 2:
                raise
    line = weir.wait_for_status(lambda line: True, 5, "a status line")
    check(not any(line["drops"].values()), f"drops: {line['drops']}")
    check(line["engine"]["paced_turns"] > 0, "nothing was paced")

    # What decodes from it is the origin's, picture for picture.
    pictures = [row[5] for row in framemd5(ffmpeg("-i", clip, "-f", "framemd5", "-c:v", "rawvideo", "-").decode())]
    _, file = players["ffmpeg, system default"]
    with open(file, "rb") as stream:
        # ffmpeg has the parameter sets from the description and does not write them into the stream.
        received = parameter_sets(clip) + stream.read()
    decoded = ffmpeg("-f", "h264", "-i", "-", "-frames:v", "50", "-f", "framemd5", "-c:v", "rawvideo", "-", input=received).decode()
    check_run([row[5] for row in framemd5(decoded)], pictures, 50, "decoded")

    # Not judged, as it depends on who is awake when: what the same players lose without pacing, and what pacing costs.
    start_publisher(context, clip, weir.url("unpaced"), "tcp", name="publisher-unpaced")
    plain, without, _ = receive(context, weir, "unpaced", "unpaced")
    lost = {name: missing(seen, original) for name, seen in without.items()}
    print(f"note: lateness in ms with pacing {load['lateness_ms']}, without {plain['lateness_ms']}")
    print(f"note: without pacing {plain['lost']} packets lost by weir load, pictures lost or damaged: {lost}")
