"""Multicast out and in, over a cable between two networks of their own."""
import concurrent.futures
import os
import re
import time

from harness.clip import Numbered, framemd5
from harness.network import cable
from harness.players import check_run, complain, ffmpeg_pictures, gst_pictures, start_publisher
from harness.process import wait_until
from harness.registry import Failure, check, test

PORT = 8554
GST_LAUNCH = "( filesrc location={path} ! qtdemux name=d d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"


def serve(context, namespace, config, host=None):
    """Weir in a namespace, whose first address it listens at unless told otherwise."""
    return context.weir("serve", config=config, host=host or namespace.addresses[0], port=PORT, wrapper=namespace.wrapper)


def publish(context, namespace, weir, clip):
    """A publisher beside Weir; returns when the path is described."""
    publisher = start_publisher(namespace.context_inside(), clip.path, weir.url("live"), "tcp")
    weir.process.wait_for(lambda: "stream begins" in weir.log(), 15, "the publisher was there")
    return publisher


def after_the_start(seen, original, what):
    """Without what a decoder makes of the middle of a group of pictures, where those begin who join a group that is sent already."""
    first = next((index for index, value in enumerate(seen) if value in original), None)
    check(first is not None and first <= 25, f"{what}: none of its first pictures is the origin's")
    return seen[first:]


def players_by_multicast(context, namespace, url, frames):
    """ffmpeg and GStreamer at the same time: what they decode, by name."""
    inside = namespace.context_inside()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = {
            "ffmpeg": pool.submit(ffmpeg_pictures, inside, url, "udp_multicast", frames),
            "GStreamer": pool.submit(gst_pictures, inside, url, "udp-mcast", frames, 640, 360),
        }
        return {name: future.result() for name, future in both.items()}


@test(seconds_max=75, family=["ipv4", "ipv6"])
def multicast_frames_arrive(context, family):
    """ffmpeg and GStreamer read a path by multicast: the origin's pictures, and one stream of packets for both."""
    clip = Numbered(context.cache)
    home, away = cable(context)
    group, host = ("239.77.0.1:5004", "10.77.0.1") if family == "ipv4" else ("[ff15::77:1]:5004", "fd77::1")
    weir = serve(context, home, f"paths:\n  live:\n    source: publish\n    multicast: '{group}'\n"
                                "    multicast-interface: cable\n    multicast-ttl: 3\n", host)
    publish(context, home, weir, clip)
    seen = players_by_multicast(context, away, weir.url("live"), 120)
    for name, pictures in seen.items():
        check_run(after_the_start(pictures, clip.pictures, name), clip.pictures, 90, name)
    log = weir.log()
    check(log.count("transport=multicast") >= 2, "the players did not use multicast")
    check(log.count("multicast begins") == 1, lambda: f"the group was begun {log.count('multicast begins')} times")
    check("ttl=3" in log and f"source={host}" in log, "the options are not what was set")
    weir.process.wait_for(lambda: "multicast ends" in weir.log(), 10, "the group ended after the last reader")
    before = home.packets_out()
    time.sleep(1.5)
    check(home.packets_out() - before < 20, lambda: f"{home.packets_out() - before} packets leave though nobody reads")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")


@test(seconds_max=60)
def first_multicast_reader_begins_at_a_key_frame(context):
    """Whoever is first hears the group from a key frame on, and nothing before it is missing."""
    clip = Numbered(context.cache)
    home, away = cable(context)
    weir = serve(context, home, "paths:\n  live:\n    source: publish\n    multicast: 239.77.0.2:5004\n    multicast-interface: 10.77.0.1\n")
    publish(context, home, weir, clip)
    pictures = ffmpeg_pictures(away.context_inside(), weir.url("live"), "udp_multicast", 60)
    check_run(pictures, clip.pictures, 60, "ffmpeg")
    check(clip.pictures.index(pictures[0]) % 25 == 0, lambda: f"it begins at picture {clip.pictures.index(pictures[0])}")


@test(seconds_max=60, group=["239.77.0.3:5004", "[ff15::77]:5004", "232.77.0.3:5004"])
def multicast_always_needs_no_reader(context, group):
    """A group that is sent always, received with the .sdp that DESCRIBE gives and no RTSP afterwards."""
    clip = Numbered(context.cache)
    home, away = cable(context)
    weir = serve(context, home, f"paths:\n  live:\n    source: publish\n    multicast: '{group}'\n    multicast-interface: cable\n"
                                "    multicast-always: on\n")
    publish(context, home, weir, clip)
    request = f"DESCRIBE {weir.url('live')}?multicast RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    answer = home.run("/usr/bin/python3", "-c", f"""
import socket
with socket.create_connection(("10.77.0.1", {PORT}), 5) as connection:
    connection.sendall({request.encode()!r})
    connection.settimeout(2)
    text = b""
    while b"m=audio" not in text or not text.endswith(b"trackID=1\\r\\n"):
        text += connection.recv(65536)
print(text.decode(), end="")
""")
    sdp = context.write("group.sdp", answer[answer.index("v=0"):].replace("\r\r\n", "\r\n"))
    check(("source-filter" in answer) == group.startswith("232."), "the source is named where it need not be, or not where it must")
    process = away.context_inside().spawn("ffmpeg", [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-protocol_whitelist", "file,udp,rtp", "-buffer_size", str(4 << 20),
        *(["-localaddr", "10.77.0.2"] if ":" not in group[1:6] else []), "-i", sdp, "-map", "0:v", "-frames:v", "90",
        "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])
    check(process.wait(40) == 0, "ffmpeg failed")
    seen = [row[5] for row in framemd5(process.out())]
    check_run(after_the_start(seen, clip.pictures, "ffmpeg"), clip.pictures, 60, "ffmpeg")
    check("session begins" not in "".join(line for line in weir.log().splitlines() if "role=reader" in line), "there was a reader")


@test(seconds_max=45)
def multicast_only_is_refused_otherwise(context):
    """A path for multicast only: ffmpeg over UDP and TCP is refused; left to themselves, ffmpeg and GStreamer find the group."""
    clip = Numbered(context.cache)
    home, away = cable(context)
    weir = serve(context, home, "paths:\n  live:\n    source: publish\n    multicast: 239.77.0.4:5004\n    multicast-interface: cable\n"
                                "    multicast-only: on\n")
    publish(context, home, weir, clip)
    inside = away.context_inside()
    for transport in ("udp", "tcp"):
        process = inside.spawn(f"refused-{transport}", ["ffmpeg", "-hide_banner", "-nostdin", "-rtsp_transport", transport, "-i",
                                                        weir.url("live"), "-t", "1", "-f", "null", "-"])
        check(process.wait(15) != 0 and "461" in process.err(), f"{transport} was not refused with 461")
    process = inside.spawn("free", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-y", "-i", weir.url("live"), "-map", "0:v",
                                    "-frames:v", "50", "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5", "-"])
    check(process.wait(30) == 0, "ffmpeg found no way")
    complain(process)
    check_run([row[5] for row in framemd5(process.out())], clip.pictures, 50, "ffmpeg")
    check_run(gst_pictures(inside, weir.url("live"), "udp+udp-mcast+tcp", 50, 640, 360), clip.pictures, 40, "GStreamer")


def send_rtp(context, namespace, clip, group, port, source, name, sdp=None):
    """An ffmpeg that sends the clip's pictures to a group for ever, from one of the namespace's addresses."""
    url = f"rtp://{group}:{port}?ttl=4&localaddr={source}&pkt_size=1200"
    return namespace.context_inside().spawn(name, [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i", clip,
        "-map", "0:v", "-c", "copy", "-f", "rtp", *(["-sdp_file", sdp] if sdp else []), url])


def other_clip(context):
    """Pictures that are nobody else's."""
    from harness.clip import cached, ffmpeg
    return cached(context.cache, "other.mp4", lambda path: ffmpeg(
        "-f", "lavfi", "-i", "smptebars=s=640x360:r=25:d=4", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "500k", path))


@test(seconds_max=75, kind=["any-source", "source-specific", "ssm-range", "rtp-url"])
def a_group_is_a_source(context, kind):
    """A group is received, read over TCP, and left again; a second sender with another address is not mixed in."""
    clip, intruder = Numbered(context.cache), other_clip(context)
    home, away = cable(context)
    group = "232.77.1.1" if kind == "ssm-range" else "239.77.1.1"
    sdp = context.path("group.sdp")
    if kind in ("source-specific", "ssm-range"):
        send_rtp(context, away, intruder, group, 5004, "10.77.0.3", "intruder")
    send_rtp(context, away, clip.path, group, 5004, "10.77.0.2", "sender", sdp)
    wait_until(lambda: os.path.exists(sdp) and "m=video" in open(sdp).read(), 10, "the sender's description")
    source = {"any-source": f"{sdp}?interface=cable", "source-specific": f"{sdp}?interface=10.77.0.1&source=10.77.0.2",
              "ssm-range": f"{sdp}?interface=cable&source=10.77.0.2",
              "rtp-url": f"rtp://{group}:5004?sdp={sdp}"}[kind]
    weir = serve(context, home, f"paths:\n  live:\n    source: '{source}'\n    linger: 500ms\n")
    check(group not in home.memberships(), "the group is joined though nobody reads")
    inside = home.context_inside()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reading = pool.submit(ffmpeg_pictures, inside, weir.url("live"), "tcp", 150)
        wait_until(lambda: group in home.memberships(), 10, "the group was joined")
        if kind in ("any-source", "rtp-url"):
            time.sleep(1.0)
            send_rtp(context, away, intruder, group, 5004, "10.77.0.3", "intruder")
        check_run(reading.result(), clip.pictures, 150, "ffmpeg behind the group")
    check(all(process.running for process in context.processes if process.name in ("sender", "intruder")), "a sender ended")
    wait_until(lambda: group not in home.memberships(), 10, "the group was left")


@test(seconds_max=60)
def a_silent_group_is_joined_anew(context):
    """The sender of a group falls silent and comes back as another one; readers see one line of pictures before and after."""
    clip = Numbered(context.cache)
    home, away = cable(context)
    sdp = context.path("group.sdp")
    first = send_rtp(context, away, clip.path, "239.77.1.2", 5004, "10.77.0.2", "first", sdp)
    wait_until(lambda: os.path.exists(sdp) and "m=video" in open(sdp).read(), 10, "the sender's description")
    weir = serve(context, home, f"paths:\n  live:\n    source: '{sdp}?interface=cable'\n    silence: 2s\n    source-wait: 15s\n")
    inside = home.context_inside()
    check_run(ffmpeg_pictures(inside, weir.url("live"), "tcp", 40, name="before"), clip.pictures, 40, "before")
    first.kill()
    weir.process.wait_for(lambda: "no packet at 239.77.1.2:5004 for 2 s" in weir.log(), 10, "the silence was said")
    send_rtp(context, away, clip.path, "239.77.1.2", 5004, "10.77.0.3", "second")
    check_run(ffmpeg_pictures(inside, weir.url("live"), "tcp", 40, name="after"), clip.pictures, 40, "after")


@test(seconds_max=75, origin=["gstreamer", "weir"])
def a_multicast_server_is_pulled(context, origin):
    """A pull with `transport: multicast` from a server that offers nothing else."""
    clip = Numbered(context.cache)
    home, away = cable(context)
    if origin == "gstreamer":
        helper = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness", "gst_origin.py")
        server = away.context_inside().spawn("gst-origin", [
            "/usr/bin/python3", helper, PORT, "/live", GST_LAUNCH.format(path=clip.path), "0.0.0.0", "239.77.2.1"])
        server.wait_for(lambda: "ready" in server.out(), 15, "it was ready")
    else:
        far = context.weir("serve", "--config", context.write("far.yml", (
            "paths:\n  live:\n    source: publish\n    multicast: 239.77.2.1:5004\n    multicast-interface: cable\n    multicast-only: on\n")),
            host="10.77.0.2", port=PORT, wrapper=away.wrapper)
        publish(context, away, far, clip)
    weir = serve(context, home, f"paths:\n  live:\n    source: rtsp://10.77.0.2:{PORT}/live\n    transport: multicast\n    linger: 500ms\n")
    inside = home.context_inside()
    seen = ffmpeg_pictures(inside, weir.url("live"), "tcp", 100)
    check_run(seen, clip.pictures, 90, "ffmpeg behind the pull")
    at = re.search(r'listening at="?239\.77\.2\.\d+:\d+', weir.log())
    check(at is not None, "it did not listen to a group")
    wait_until(lambda: not any(group.startswith("239.77.2.") for group in home.memberships()), 10, "the group was left")


@test(seconds_max=30)
def multicast_mistakes_are_explained(context):
    """What is wrong with a group's settings is said at the start, or to the player that asks."""
    def errors(lines):
        config = context.write("bad.yml", "paths:\n  live:\n    source: publish\n" + "".join(f"    {line}\n" for line in lines))
        code, out, err = context.run_weir("serve", "--check", "--config", config)
        check(code != 0, lambda: f"{lines} was taken: {out}")
        return err
    for lines, words in (
            (["multicast: 10.0.0.1:5004"], "10.0.0.1 is no multicast address"),
            (["multicast: 239.1.2.3:5005"], "the port 5005 is odd"),
            (["multicast-only: on"], "without a group the other multicast keys mean nothing")):
        check(words in errors(lines), f"{lines}: `{words}` is not said")
    home, away = cable(context)
    weir = serve(context, home, "paths:\n  live:\n    source: publish\n    multicast: 239.77.0.5:5004\n    multicast-interface: nowhere0\n")
    check("there is no interface `nowhere0`" in weir.log(), "the interface that is not there is not said at the start")
    publish(context, home, weir, Numbered(context.cache))
    process = away.context_inside().spawn("ffmpeg", ["ffmpeg", "-hide_banner", "-nostdin", "-rtsp_transport", "udp_multicast", "-i",
                                                     weir.url("live"), "-t", "1", "-f", "null", "-"])
    check(process.wait(15) != 0 and "461" in process.err(), "SETUP was not refused with 461")
