"""What a player of Windows Media may ask for while it plays: other streams, other rates, other places; by the scripted player."""
import struct
import time

from harness.asffile import File, Header, Objects, Packet
from harness.clip import cached, ffmpeg
from harness.registry import check, test
from harness.rtsp import fetch
from harness.windowsmedia import ASFClip
from harness.wmplayer import Player

FAST = ["LinkBW=2147483647, AccelBW=50000000, AccelDuration=30000"]
CONFIG = "paths:\n  live:\n    source: {path}\n    broadcast: true\n  file:\n    source: {path}\n"
REWOUND = 0x000D2F09


def two_rates(context):
    """10 s of two video streams (key frames each second, at different times) and one of sound."""
    def make(path):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=10", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=10", "-f", "lavfi", "-i",
               "sine=f=440:r=44100:d=10", "-map", "0:v", "-map", "1:v", "-map", "2:a", "-c:v", "wmv2", "-g:v:0", 25, "-g:v:1", 20,
               "-b:v:0", "800k", "-b:v:1", "200k", "-c:a", "wmav2", "-b:a", "64k", "-packet_size", 3200, path)
    return cached(context.cache, "asf-two-rates.asf", make)


class Loose(Player):
    """Bears what a change of streams in a broadcast, or another rate, brings: another row of sequence numbers, packets that go back."""
    jumps = 0
    rate = 1.0

    def take_D(self, packet):
        if self.sequence is not None and packet.flags != self.sequence & 255:
            self.jumps += 1
            self.sequence = packet.flags
        entry = self.entries[-1]
        if self.rate < 0 and entry.packets and packet.location <= entry.packets[-1].location:
            kept, entry.packets = entry.packets, []
            super().take_D(packet)
            entry.packets = kept + entry.packets
        else:
            super().take_D(packet)

    def take_E(self, packet):
        if self.rate < 0 and packet.reason == REWOUND:
            self.entries[-1].ended = packet.reason
            self.expects = ""
        else:
            super().take_E(packet)


def count_until(player, count):
    """Reads until so many packets of the entry came."""
    player.read(until=lambda event: event.kind == "D" and len(player.entries[-1].packets) >= count)
    return len(player.entries[-1].packets)


@test(seconds_max=40, case=[("live", "plain"), ("live", "pipelined"), ("file", "plain"), ("file", "pipelined")])
def wm_streams_change_in_mid_play(context, case):
    """Another picture rate, then sound alone, then pictures again: one session, nothing of the sound lost, pictures from key frames on."""
    path, mode = case
    weir = context.weir("serve", config=CONFIG.format(path=two_rates(context)))
    player = context.closing(Loose(weir.host, weir.port, "/" + path, pipelined=mode == "pipelined"))
    header = player.describe().header
    if player.pipelined:
        player.pipeline()
    kinds = header.streams
    (first, second), (sound,) = [[n for n in kinds if kinds[n] == kind] for kind in ("video", "audio")]
    player.play({first: 0, second: 2, sound: 0})
    done = count_until(player, 40)
    for wanted in ({first: 2, second: 0}, {second: 2}, {first: 0}):
        player.select(wanted)
        done = count_until(player, done + 70)
    packets = [packet.asf for packet in player.entries[-1].packets]
    player.stop()

    objects = Objects()
    for packet in packets:
        objects.take(packet)
    # At most the picture that went when sound alone was wanted is cut, and what is under way at the end.
    check(objects.broken <= 1, f"{objects.broken} objects are broken")
    check(player.jumps <= 3, f"{player.jumps} jumps of the sequence")
    heard = [part.number for packet in packets for part in packet.payloads if part.stream == sound and part.offset == 0]
    gaps = [n for n, (one, other) in enumerate(zip(heard, heard[1:])) if other != (one + 1) % 256]
    check(len(heard) > 30 and not gaps, lambda: f"{len(heard)} objects of sound, a gap behind {gaps[:3]}")
    seen = [(part.stream, part.time, part.key) for packet in packets for part in packet.payloads
            if part.stream != sound and part.offset == 0]
    parts = []
    for stream, time_, key in seen:
        if not parts or parts[-1][0] != stream:
            check(key, f"stream {stream} begins at {time_} ms without a key frame")
            parts.append((stream, []))
        parts[-1][1].append(time_)
    check([stream for stream, _ in parts] == [first, second, first], lambda: f"pictures of {[stream for stream, _ in parts]}")
    for _, times in parts:
        steps = [later - earlier for earlier, later in zip(times, times[1:])]
        check(all(30 <= step <= 50 for step in steps), lambda: f"pictures are {min(steps)} to {max(steps)} ms apart")
    gap = parts[1][1][0] - parts[0][1][-1]
    # A packet may hold both.
    check(0 <= gap <= 80, f"{gap} ms between the last picture of one stream and the first of the other")
    check(parts[2][1][0] - parts[1][1][-1] > 500, "pictures went on when sound alone was wanted")
    weir.check_alive()


@test(seconds_max=40, rate=[5.0, 2.0, 1.5, 0.5, -1.0, -5.0])
def wm_player_winds(context, rate):
    """Fast forward and rewind: key frames alone, whole, in their order, at their pace; up to twice the speed, everything."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "file")
    player = context.closing(Loose(weir.host, weir.port, "/file"))
    described = player.describe()
    check("stridable" in described.answer.features, f"{described.answer.features}")
    player.rate = rate
    since = time.monotonic()
    # About two seconds of the wall clock.
    start, length = {5.0: (0, 0), 2.0: (2000, 4000), 1.5: (0, 3000), 0.5: (3000, 1000), -1.0: (3900, 2000), -5.0: (9500, 0)}[rate]
    player.play(rate=rate, time_=start, length=length)
    player.read()
    took = time.monotonic() - since
    objects = Objects()
    for packet in player.entries[-1].packets:
        objects.take(packet.asf)
    check(objects.broken == 0, f"{objects.broken} objects are broken")
    kinds = described.header.streams
    preroll = described.header.preroll
    times = [time_ - preroll for stream, time_, _, _ in objects.whole if kinds[stream] == "video"]
    sound = [one for one in objects.whole if kinds[one[0]] == "audio"]
    keys = [key for stream, _, key, _ in objects.whole if kinds[stream] == "video"]
    if abs(rate) >= 2 or rate < 0:
        check(all(keys) and not sound, lambda: f"{keys.count(False)} pictures that are no key frames, {len(sound)} objects of sound")
        steps = {abs(later - earlier) for earlier, later in zip(times, times[1:])}
        check(steps == {1000}, lambda: f"key frames at {times}")
    else:
        check(sound and not all(keys), "pictures or sound are missing")
    check(times == sorted(times, reverse=rate < 0), lambda: f"{times}")
    # It begins with the key frame at or before the time; they are whole seconds apart.
    expected = {5.0: (0, 9000), 2.0: (1000, 5000), 1.5: (0, 3000), 0.5: (2000, 4000), -1.0: (3000, 1000), -5.0: (9000, 0)}[rate]
    check(abs(times[0] - expected[0]) < 100 and abs(times[-1] - expected[1]) <= 250, lambda: f"from {times[0]} to {times[-1]} ms")
    pace = abs(times[-1] - times[0]) / 1000 / abs(rate)
    check(pace - 0.4 <= took <= pace + 1.2, f"{took:.1f} s for {abs(times[-1] - times[0])} ms at {rate}")
    check(player.entries[-1].ended == (REWOUND if (rate, length) == (-5.0, 0) else 0), f"$E {player.entries[-1].ended}")
    weir.check_alive()


@test(seconds_max=30, alone=False)
def wm_streams_are_thinned(context):
    """A stream may be had in key frames alone, and whole again from a key frame on."""
    clip = ASFClip(context.cache)
    weir = context.weir("relay", clip.path, "--as", "file")
    player = context.closing(Player(weir.host, weir.port, "/file"))
    header = player.describe().header
    video = next(n for n, kind in header.streams.items() if kind == "video")
    player.play({n: 1 if n == video else 0 for n in header.streams}, more=["LinkBW=2147483647, AccelBW=4000000, AccelDuration=3000"])
    # Packets without anything of the selection do not go: their numbers are missing.
    player.read(until=lambda event: event.kind == "D" and event.location > 100)
    player.select({video: 0})
    player.read(until=lambda event: event.kind == "D" and event.location > 350)
    objects = Objects()
    for packet in player.entries[-1].packets:
        objects.take(packet.asf)
    seen = [(time_, key) for stream, time_, key, _ in objects.whole if stream == video]
    turn = next(n for n, (_, key) in enumerate(seen) if not key)
    check(objects.broken == 0 and turn >= 2, f"{objects.broken} broken, {turn} key frames first")
    check(seen[turn][0] - seen[turn - 1][0] <= 50, "the first picture that is none follows no key frame")
    steps = [later[0] - earlier[0] for earlier, later in zip(seen[turn:], seen[turn + 1:])]
    check(all(30 <= step <= 50 for step in steps), lambda: f"{steps}")


def packets_of(answer, header_bytes=None):
    """The framed packets of an old player's body: [(kind, location, payload)]."""
    body, found = answer[answer.index(b"\r\n\r\n") + 4:], []
    while len(body) >= 4:
        _, kind, length = struct.unpack("<BBH", body[:4])
        payload = body[12:4 + length] if kind in b"DH" else b""
        found.append((chr(kind), struct.unpack("<I", body[4:8])[0], payload))
        body = body[4 + length:]
    return found


@test(seconds_max=30, form=["time", "packet", "relative", "absolute"])
def wm_seeks_by_any_form(context, form):
    """By time, by packet, by VLC's offsets (from the first packet) and by libmms's (from the file's beginning): the same key frame."""
    clip = ASFClip(context.cache)
    file = File(clip.path)
    weir = context.weir("relay", clip.path, "--as", "file")
    step, head = file.header.packet_bytes, len(file.header.raw)
    entries = [number for number, raw in enumerate(file.packets)
               if any(part.key and part.offset == 0 and file.header.streams[part.stream] == "video"
                      for part in Packet(raw, file.header).payloads)]
    aim = entries[4] + 3
    token = {"time": "stream-time=4100", "packet": f"packet-num={aim}", "relative": f"stream-offset=0:{aim * step}",
             "absolute": f"stream-offset=0:{head + aim * step}"}[form]
    agent = "NSPlayer/7.10.0.3059" if form == "relative" else "NSPlayer/4.1.0.3856"
    # 400 ms of it, which go out at once.
    request = (f"GET /file HTTP/1.0\r\nUser-Agent: {agent}\r\nPragma: no-cache,rate=1.000000,{token},max-duration=400\r\n"
               "Pragma: xPlayStrm=1\r\nPragma: stream-switch-count=2\r\nPragma: stream-switch-entry=ffff:1:0 ffff:2:0\r\n\r\n")
    came = packets_of(fetch((weir.host, weir.port), request.encode(), until_close=True, seconds=8))
    check([kind for kind, _, _ in came][:2] == ["H", "D"] and came[-1][0] == "E", lambda: f"{[kind for kind, _, _ in came]}")
    header = Header(came[0][2])
    check(came[1][1] == entries[4], lambda: f"it begins with packet {came[1][1]}; key frames begin in {entries}")
    last = Packet(came[-2][2], header).send
    first = Packet(came[1][2], header).send
    check(300 <= last - first <= 600, f"max-duration=400: {last - first} ms came")
