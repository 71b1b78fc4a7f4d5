"""One stream over two networks: merged by sequence number, and a jitter buffer for one network out of order."""
import json
import os
import random
import socket
import threading
import time

from harness.clip import Numbered, demo_hashes, framemd5
from harness.origin import Origin, Splice
from harness.players import check_run, complain, start_ffmpeg
from harness.process import free_port, wait_until
from harness.registry import check, test


class Lossy(Origin):
    """An origin behind a network that loses, doubles, delays and swaps. Of two with the other `parity` no packet is lost by both."""

    def __init__(self, parity, loss, seed, behind=0.0, **options):
        self.parity, self.loss, self.chance, self.behind = parity, loss, random.Random(seed), behind
        self.cut, self.late, self.dropped = False, [], 0
        super().__init__(**options)

    def start_at(self, moment):
        self.started = moment + self.behind

    def _send(self, track, packet, is_report):
        if self.cut:
            return
        if is_report:
            return super()._send(track, packet, True)
        if packet[3] % 2 == self.parity and self.chance.random() < self.loss:
            self.dropped += 1
            return
        roll = self.chance.random()
        if roll < 0.05:
            self.late.append((track, packet))
            return
        for _ in range(2 if roll > 0.95 else 1):
            super()._send(track, packet, False)
        for waiting in self.late:
            super()._send(*waiting, False)
        self.late = []


def serve(context, sources, **settings):
    lines = [f"    source: {sources[0]}", "    transport: udp", "    silence: 2s", "    source-wait: 15s"]
    if sources[1:]:
        lines.append("    backups: [" + ", ".join(sources[1:]) + "]")
    lines += [f"    {key.replace('_', '-')}: {value}" for key, value in settings.items()]
    return context.weir("serve", config="paths:\n  cam:\n" + "\n".join(lines) + "\n")


def path(context, weir):
    code, out, err = context.run_weir("status", str(weir.port), "--json", name="status")
    check(code == 0, f"weir status ended with code {code}: {err[:300]}")
    return json.loads(out)["paths"][0]


def decode(context, weir, frames):
    return start_ffmpeg(context, weir.url("cam"), "tcp", "-map", "0:v", "-frames:v", str(frames), "-vsync", "passthrough",
                        "-c:v", "rawvideo", "-flush_packets", "1", "-f", "framemd5", "-")


@test(seconds_max=60)
def merge_loses_nothing_while_legs_are_cut_in_turn(context):
    """Two lossy UDP legs with other SSRCs, 20 ms apart; each is cut, then killed and started again: every picture is the origin's."""
    ports = [free_port(), free_port()]
    moment = time.monotonic()

    def leg(number):
        origin = Lossy(number, 0.0, 5 + number, 0.02 * number, port=ports[number], splice=Splice(ssrc=number * 0x1234))
        origin.start_at(moment)
        return origin

    legs = [leg(0), leg(1)]
    weir = serve(context, [origin.url() for origin in legs], merge="true", merge_delay="200ms")
    process = decode(context, weir, 450)

    def decoded(more):
        least = len(framemd5(process.out())) + more
        process.wait_for(lambda: len(framemd5(process.out())) >= least, 20, f"it decoded {more} pictures more")

    decoded(50)
    wait_until(lambda: all(leg["is_feeding"] for leg in path(context, weir)["legs"]), 10, "both legs play")
    for origin in legs:
        origin.loss = 0.1
    decoded(25)
    for number in (0, 1):
        # While one is cut the other must bring all: its network is whole for that time, and a little longer.
        legs[1 - number].loss = 0.0
        time.sleep(0.3)
        legs[number].cut = True
        decoded(25)
        legs[number].cut = False
        decoded(10)
        legs[1 - number].loss = 0.1
    legs[1].loss = 0.0
    time.sleep(0.3)
    legs[0].close()
    decoded(40)
    legs[0] = leg(0)
    wait_until(lambda: legs[0].playing, 10, "the first leg plays again")
    decoded(25)
    legs[1].loss = 0.1
    check(process.wait(40) == 0, "ffmpeg failed")
    complain(process)
    check_run([row[5] for row in framemd5(process.out())], demo_hashes(context.cache), 380, "ffmpeg")
    shown = path(context, weir)
    for number, leg_shown in enumerate(shown["legs"]):
        merge = leg_shown["merge"]
        check(merge["filled"] > 0 and merge["duplicates"] > 0 and merge["foreign"] == 0, f"leg {number}: {merge}")
    check(all(track["lost"] == 0 and track["missing"] == 0 for track in shown["tracks"]), f"tracks: {shown['tracks']}")
    check(shown["epochs"] == len(shown["tracks"]), f"{shown['epochs']} time lines")
    check(all(origin.receiver_reports > 0 for origin in legs), "a leg got no receiver report")
    for origin in legs:
        context.closing(origin)


@test(seconds_max=45)
def merge_leaves_out_what_is_not_the_same(context):
    """A second source that is another stream is not mixed in: it is said, and stands in when the first falls silent."""
    legs = [Origin(splice=Splice.random(number)) for number in (1, 2)]
    weir = serve(context, [origin.url() for origin in legs], merge="true")
    process = decode(context, weir, 200)
    process.wait_for(lambda: len(framemd5(process.out())) >= 75, 20, "it decoded 75 pictures")
    shown = wait_until(lambda: (lambda legs: [leg for leg in legs if "left out" in leg["words"]])(path(context, weir)["legs"]), 10,
                       "one leg is left out")
    check(len(shown) == 1 and "left out" in weir.log(), f"{shown}")
    number = 0 if shown[0]["role"] == "backup 1" else 1
    legs[number].close()
    check(process.wait(30) == 0, "ffmpeg failed")
    complain(process)
    rows = [row[5] for row in framemd5(process.out())]
    original = set(demo_hashes(context.cache))
    check(len(rows) == 200 and all(row in original for row in rows), "a picture is none of the origins'")
    context.closing(legs[1 - number])


@test(seconds_max=45)
def jitter_buffer_puts_packets_in_order(context):
    """A network that swaps and doubles packets and loses none: with jitter-buffer every picture is the origin's, and nothing is missing."""
    origin = Lossy(0, 0.0, 3)
    weir = serve(context, [origin.url()], jitter_buffer="100ms")
    process = decode(context, weir, 200)
    check(process.wait(35) == 0, "ffmpeg failed")
    complain(process)
    check_run([row[5] for row in framemd5(process.out())], demo_hashes(context.cache), 200, "ffmpeg")
    for track in path(context, weir)["tracks"]:
        check(track["lost"] == 0 and track["missing"] == 0, f"{track}")
    context.closing(origin)


class Doubler:
    """Takes RTP at a port and sends it on to two, as two networks would: of two packets in a row each network may lose another one."""

    def __init__(self, targets):
        self.targets, self.lost, self.open = targets, [0, 0], True
        self.chance = random.Random(9)
        self.port = even_port()
        self.sockets = []
        for place in (0, 1):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind(("127.0.0.1", self.port + place))
            sock.settimeout(0.2)
            self.sockets.append(sock)
            threading.Thread(target=self._pass, args=(sock, place), daemon=True).start()

    def _pass(self, sock, place):
        while self.open:
            try:
                packet = sock.recv(65_536)
            except OSError:
                continue
            for leg, target in enumerate(self.targets):
                if place == 0 and packet[3] % 2 == leg and self.chance.random() < 0.2:
                    self.lost[leg] += 1
                    continue
                sock.sendto(packet, ("127.0.0.1", target + place))

    def close(self):
        self.open = False
        for sock in self.sockets:
            sock.close()


def even_port():
    while True:
        port = free_port(kind=socket.SOCK_DGRAM)
        if port % 2 == 0 and port < 65_000:
            return port


@test(seconds_max=60)
def merge_of_plain_rtp_fills_every_gap(context):
    """ffmpeg sends RTP once, two lossy networks carry it to two SDP files' ports: every picture is the clip's."""
    clip = Numbered(context.cache)
    targets = [even_port(), even_port()]
    doubler = context.closing(Doubler(targets))
    sdp = context.path("sent.sdp")
    context.spawn("sender", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i",
                             clip.path, "-map", "0:v", "-c", "copy", "-f", "rtp", "-sdp_file", sdp,
                             f"rtp://127.0.0.1:{doubler.port}?pkt_size=1200"])
    wait_until(lambda: os.path.exists(sdp) and "m=video" in open(sdp).read(), 10, "the sender's description")
    with open(sdp) as file:
        text = file.read()
    legs = [context.write(f"leg{number}.sdp", text.replace(f"m=video {doubler.port}", f"m=video {target}"))
            for number, target in enumerate(targets)]
    lines = [f"    source: {legs[0]}", f"    backups: [{legs[1]}]", "    merge: true", "    source-wait: 15s"]
    weir = context.weir("serve", config="paths:\n  cam:\n" + "\n".join(lines) + "\n")
    process = decode(context, weir, 200)
    check(process.wait(40) == 0, "ffmpeg failed")
    complain(process)
    check_run([row[5] for row in framemd5(process.out())], clip.pictures, 200, "ffmpeg")
    shown = path(context, weir)
    check(all(doubler.lost) and all(leg["merge"]["filled"] > 0 and leg["merge"]["lost"] > 0 for leg in shown["legs"]), f"{shown['legs']}")
    check(all(track["missing"] == 0 for track in shown["tracks"]), f"{shown['tracks']}")
