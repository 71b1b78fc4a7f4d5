"""Newcomers begin at the last key frame and meet the live stream without a gap."""
import concurrent.futures
import os
import struct
import time

from harness.clip import Numbered, framemd5
from harness.players import GST_ENVIRONMENT, check_run, complain, rtsp_input, start_publisher
from harness.process import wait_until
from harness.reader import Reader, ReaderLoop
from harness.registry import check, test

KEY_SECONDS = 10
PATH = "  {name}:\n    source: publish\n    source-wait: 15s\n    window: 12s\n    join-burst: {burst}\n"


def is_key_frame(kept):
    """Of what a Reader keeps of an H.264 packet: whether it begins a key frame."""
    first, second = kept[5]
    kind = second & 0x1F if first & 0x1F == 28 and second & 0x80 else first & 0x1F
    return kind in (5, 7, 8)


def first_picture(context, name, argv, raw_bytes, environment=None):
    """Starts a player that writes pictures; how many seconds until the first one is out."""
    begin = time.monotonic()
    process = context.spawn(name, argv, environment)
    process.wait_for(raw_bytes, 15, "its first picture")
    return process, time.monotonic() - begin


def ffmpeg_joins(context, url, transport, frames, name):
    hashes = context.path(f"{name}.framemd5")

    def has_picture():
        if not os.path.exists(hashes):
            return False
        with open(hashes) as file:
            return bool(framemd5(file.read()))
    process, seconds = first_picture(context, name, [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y", "-threads", "1",
        *rtsp_input(url, transport), "-map", "0:v", "-frames:v", frames, "-vsync", "passthrough", "-c:v", "rawvideo", "-f", "framemd5",
        "-flush_packets", "1", hashes], has_picture)
    check(process.wait(30) == 0, f"{name} ended with code {process.child.returncode}")
    complain(process)
    with open(hashes) as file:
        return seconds, [row[5] for row in framemd5(file.read())]


def gstreamer_joins(context, url, transport, name):
    raw = context.path(f"{name}.i420")
    process, seconds = first_picture(context, name, [
        "gst-launch-1.0", "-q", "rtspsrc", f"location={url}", f"protocols={transport}", "latency=200", "!",
        "application/x-rtp,media=video", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "videoconvert", "!",
        "video/x-raw,format=I420", "!", "filesink", "buffer-mode=unbuffered", f"location={raw}"],
        lambda: os.path.exists(raw) and os.path.getsize(raw) >= 640 * 360 * 3 // 2, GST_ENVIRONMENT)
    process.stop(3)
    os.remove(raw)
    return seconds


def wait_for_middle(watcher):
    """Until the last key frame that went by is 4 s old; returns its age."""
    flow = watcher.flows[0]
    wait_until(lambda: any(is_key_frame(kept) for kept in flow.kept), 12, "a key frame")

    def age():
        return time.monotonic() - max(kept[0] for kept in list(flow.kept) if is_key_frame(kept))
    wait_until(lambda: 4.0 < age() < 5.0, 12, "the middle between two key frames")
    return age()


def sender_clock(reports):
    """(NTP seconds, RTP timestamp) of the last RTCP sender report (RFC 3550, section 6.4.1)."""
    for _, data in reversed(reports):
        if len(data) >= 28 and data[1] == 200:
            seconds, fraction, timestamp = struct.unpack_from("!III", data, 8)
            return seconds + fraction / 2**32, timestamp
    return None


def check_packets(reader, info, watcher):
    """From RTP-Info's packets on nothing is missing up to live, and sound and picture begin at about the same time."""
    begins = {}
    for track, clock in ((0, 90_000), (1, 48_000)):
        flow, first = reader.flows[track], reader.flows[track].kept[0]
        check(first[1:3] == info[track], f"track {track} begins with {first[1:3]}, RTP-Info says {info[track]}")
        check(flow.lost == 0 and flow.repeated == 0, f"track {track}: {flow.lost} lost, {flow.repeated} repeated")
        wanted = {kept[1]: kept[2] for kept in watcher.flows[track].kept}
        same = [kept for kept in flow.kept if wanted.get(kept[1]) == kept[2]]
        check(len(same) > 0.95 * len(flow.kept), f"track {track}: {len(same)} of {len(flow.kept)} packets are those that the others got")
        ntp, timestamp = sender_clock(watcher.reports[track])
        begins[track] = ntp + ((first[2] - timestamp + 2**31) % 2**32 - 2**31) / clock
    check(is_key_frame(reader.flows[0].kept[0]), "the first packet begins no key frame")
    check(abs(begins[0] - begins[1]) < 0.3, f"the sound begins {begins[1] - begins[0]:+.2f} s from the picture")


def catch_up(reader, watcher):
    """Seconds from a reader's first packet until it gets packets when the watcher does."""
    arrivals = {kept[1]: kept[0] for kept in watcher.flows[0].kept}
    first = reader.flows[0].kept[0][0]
    live = [kept[0] for kept in reader.flows[0].kept if kept[1] in arrivals and kept[0] - arrivals[kept[1]] < 0.05]
    check(live, "it never met the live stream")
    return live[0] - first


@test(seconds_max=75)
def newcomers_begin_at_once(context):
    """Joining in the middle of a 10 s GOP: first picture at once, all pictures the origin's, numbers continuous; off: at the next key frame."""
    clip = Numbered(context.cache, key_every=25 * KEY_SECONDS)
    config = "paths:\n" + PATH.format(name="burst", burst="on") + PATH.format(name="plain", burst="off")
    weir = context.weir("serve", config=config)
    loop = context.closing(ReaderLoop())
    watchers = {}
    for path in ("burst", "plain"):
        start_publisher(context, clip.path, weir.url(path), "tcp", name=f"publisher-{path}")
    for path in ("burst", "plain"):
        watchers[path] = Reader(loop, weir.url(path), "tcp", keep=True, seconds=20)
        watchers[path].start()
    wait_for_middle(watchers["burst"])

    readers = {}
    for transport in ("udp", "tcp"):
        readers[transport] = Reader(loop, weir.url("burst"), transport, keep=True)
        begin = time.monotonic()
        info = readers[transport].start()
        readers[transport].wait_for_packets(0, 30, 2)
        readers[transport].begins = info, readers[transport].flows[0].kept[0][0] - begin
    late = Reader(loop, weir.url("plain"), "udp", keep=True, seconds=15)
    asked = time.monotonic()
    late_info = late.start()  # answered at the next key frame

    check(late.flows[0].wait_first(5) - asked > 2.0, "without a join burst it began at once")
    check(is_key_frame(late.flows[0].kept[0]) and late_info[0] == late.flows[0].kept[0][1:3], "without: it began with no key frame")
    for transport, reader in readers.items():
        info, seconds = reader.begins
        # Without a burst nothing comes for five seconds and more: the last key frame was four to five seconds ago, the next is ten behind it.
        check(seconds < 2.0, f"{transport}: the first packet came after {seconds:.2f} s")
        check_packets(reader, info, watchers["burst"])
        behind = catch_up(reader, watchers["burst"])
        check(behind < 3.0, f"{transport}: it met the live stream only after {behind:.1f} s")

    # The players, in the middle of a GOP again.
    wait_for_middle(watchers["burst"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ffmpeg = pool.submit(ffmpeg_joins, context, weir.url("burst"), "udp", 150, "ffmpeg-udp")
        gstreamer = pool.submit(gstreamer_joins, context, weir.url("burst"), "udp", "gstreamer-udp")
        (took, seen), gst = ffmpeg.result(), gstreamer.result()
    check(took < 4.0, f"ffmpeg's first picture came after {took:.1f} s")
    check(gst < 4.0, f"GStreamer's first picture came after {gst:.1f} s")
    check_run(seen, clip.pictures, 150, "ffmpeg")
    check(clip.pictures.index(seen[0]) % clip.key_every == 0, "ffmpeg began with another picture than a key frame")
    line = weir.wait_for_status(lambda line: True, 5, "a status line")
    check(line["engine"]["join_bursts"] >= 4, f"{line['engine']['join_bursts']} join bursts are counted")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")
    print(f"note: first picture of ffmpeg {took:.2f} s, GStreamer {gst:.2f} s after their start; met live after "
          + ", ".join(f"{transport} {catch_up(reader, watchers['burst']):.2f} s" for transport, reader in readers.items()))
