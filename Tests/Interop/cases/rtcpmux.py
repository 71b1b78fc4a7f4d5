"""RTP and RTCP on one port (RFC 5761), as a server, as a client, and from SDP files."""
import json
import re
import socket
import struct
import threading
import time

from harness import rtsp
from harness.clip import Numbered
from harness.players import check_run, ffmpeg_pictures
from harness.process import free_port, wait_until
from harness.registry import check, test


def status(context, weir):
    code, out, _ = context.run_weir("status", weir.port, "--json", name="status")
    check(code == 0, f"weir status ended with {code}")
    return json.loads(out)


@test(seconds_max=40)
def reader_with_one_port(context):
    """A reader asks for RTCP-mux: RTP and sender reports come to its one port from one port, and its reports are matched there."""
    weir = context.weir("demo")
    media = context.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    media.bind(("127.0.0.1", 0))
    media.settimeout(5)
    port = media.getsockname()[1]
    connection = context.closing(rtsp.connect((weir.host, weir.port)))
    url = weir.url("demo")

    def ask(text):
        answer = rtsp.exchange(connection, text.encode())
        message = next(item for item in rtsp.Parser().feed(answer) if isinstance(item, rtsp.Message))
        check(message.status == 200, f"{text.split()[0]} was answered with {message.start}")
        return message
    described = ask(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    check(b"rtcp-mux" not in described.body, "the description says a=rtcp-mux, which is not asked for")
    answer = ask(f"SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP;unicast;client_port={port}-{port + 1};RTCP-mux\r\n\r\n")
    transport = answer.headers["transport"]
    server = re.search(r"server_port=(\d+)-(\d+)", transport)
    check(server and server[1] == server[2] and transport.endswith("RTCP-mux"), f"Transport: {transport}")
    session = answer.headers["session"].split(";")[0]
    ask(f"PLAY {url} RTSP/1.0\r\nCSeq: 3\r\nSession: {session}\r\n\r\n")
    seen, deadline = {"rtp": 0, "rtcp": 0}, time.monotonic() + 8
    while time.monotonic() < deadline and (seen["rtp"] < 50 or seen["rtcp"] < 2):
        packet, sender = media.recvfrom(2048)
        check(sender[1] == int(server[1]), f"a packet came from port {sender[1]}, not {server[1]}")
        if not 192 <= packet[1] <= 223:
            seen["rtp"] += 1
            source, highest = packet[8:12], struct.unpack_from("!H", packet, 2)[0]
            continue
        seen["rtcp"] += 1
        middle = struct.unpack_from("!I", packet, 10)[0]  # of the NTP time
        report = struct.pack("!BBHI", 0x81, 201, 7, 0x5EED) + source + struct.pack("!IIIII", 0, highest, 0, middle, 0)
        media.sendto(report, sender)
    check(seen["rtp"] >= 50 and seen["rtcp"] >= 2, f"seen {seen}")
    wait_until(lambda: status(context, weir)["readers"]["shown"][0].get("reports", 0) >= 2, 5, "its reports in status")
    reader = status(context, weir)["readers"]["shown"][0]
    check(reader["round_trip_milliseconds"] < 1_000 and reader["transport"] == "udp", f"status told {reader}")


@test(seconds_max=60)
def weir_to_weir_on_one_port(context):
    """One Weir offers it, the next pulls so: its players decode the origin's pictures, and its receiver reports arrive."""
    first = context.weir("serve", config="paths:\n  cam:\n    source: publish\n    rtcp-mux: offer\n")
    clip = Numbered(context.cache)
    context.spawn("publisher", ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i",
                                clip.path, "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", first.url("cam")])
    first.process.wait_for(lambda: "publisher" in first.log(), 10, "the publisher came")
    tap = context.closing(Tap((first.host, first.port)))
    config = f"paths:\n  cam:\n    source: rtsp://127.0.0.1:{tap.port}/cam\n    transport: udp\n"
    second = context.weir("serve", config=config)
    seen = ffmpeg_pictures(context, second.url("cam"), "udp", 200)
    check_run(seen, clip.pictures, 200, "ffmpeg")
    reader = status(context, first)["readers"]["shown"][0]
    check(reader["transport"] == "udp" and reader["reports"] >= 2, f"status told {reader}")
    check(reader.get("round_trip_milliseconds") is not None, f"status told no round trip: {reader}")
    check(tap.heard.count(b"a=rtcp-mux") == 2, "the description does not say a=rtcp-mux for each media")
    asked = re.findall(rb"Transport: (RTP/AVP;unicast;client_port=[^\r]*)", bytes(tap.heard))
    check(len(asked) == 4 and all(line.endswith(b"RTCP-mux") for line in asked), f"SETUPs and their answers said {asked}")
    check(not second.drops() and not first.drops(), f"drops: {first.drops()} {second.drops()}")


@test(seconds_max=60)
def sdp_file_with_one_port(context):
    """An SDP file with a=rtcp-mux, fed by ffmpeg on one port: players decode its pictures."""
    clip = Numbered(context.cache)
    port = free_port(kind=socket.SOCK_DGRAM)
    file = context.path("camera.sdp")
    sender = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i", clip.path,
              "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb,dump_extra", "-sdp_file", file, "-f", "rtp",
              f"rtp://127.0.0.1:{port}?rtcpport={port}&pkt_size=1200"]
    context.spawn("sender", sender)
    wait_until(lambda: "m=video" in read(file), 10, "the description of the sender")
    with open(file, "a") as out:
        out.write("a=rtcp-mux\r\n")
    weir = context.weir("serve", config=f"paths:\n  cam:\n    source: {file}\n")
    check_run(ffmpeg_pictures(context, weir.url("cam"), "udp", 60), clip.pictures, 60, "ffmpeg")
    path = status(context, weir)["paths"][0]
    check(path["tracks"][0]["lost"] == 0, f"status told {path}")


class Tap:
    """A way for an RTSP connection that keeps what goes through it."""

    def __init__(self, target):
        self.target, self.heard = target, bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()
        except OSError:
            pass

    def _carry(self, source, sink):
        try:
            while data := source.recv(65_536):
                self.heard += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def read(name):
    try:
        with open(name) as file:
            return file.read()
    except OSError:
        return ""
