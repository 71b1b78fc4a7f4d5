"""Peers that send what they should not. Each gets a status that says why, or nothing; nobody else notices."""
import os
import random
import re
import socket
import struct
import time

from harness.reader import Reader, ReaderLoop
from harness.registry import check, test
from harness.rtsp import Frame, Message, Parser, connect, exchange, fetch


class Bystanders:
    """Two readers that must not notice anything."""

    def __init__(self, context, weir):
        self.weir = weir
        loop = context.closing(ReaderLoop())
        self.readers = [Reader(loop, weir.url("demo"), transport) for transport in ("udp", "tcp")]
        for reader in self.readers:
            reader.start()
            reader.wait_for_packets(0, 10, 10)

    def check_undisturbed(self):
        self.weir.check_alive()
        for reader in self.readers:
            reader.wait_for_packets(0, 10, 5)
            for flow in reader.flows.values():
                check(flow.lost == 0, f"the {reader.transport} bystander lost {flow.lost} packets ({reader.kernel_drops()} in its own kernel buffer)")
                check(len(flow.ssrcs) == 1, f"the {reader.transport} bystander got foreign packets")


def status_of(answer):
    return int(answer.split()[1]) if answer.startswith(b"RTSP/1.0 ") else None


@test(seconds_max=60)
def random_bytes(context):
    """Random bytes on the RTSP port and on the media ports."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    dice = random.Random(11)
    address = ("127.0.0.1", weir.port)
    for number in range(60):
        noise = dice.randbytes(dice.choice([1, 3, 100, 5000, 70_000]))
        if number % 3 == 0:
            noise = b"$" + noise
        elif number % 3 == 1:
            noise = b"DESCRIBE " + noise
        try:
            with connect(address) as connection:
                connection.sendall(noise)
        except OSError:
            pass  # being thrown out is an answer
    # The server's media ports, as a SETUP tells them.
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"))
    reader.describe()
    ports = re.search(r"server_port=(\d+)-(\d+)", reader.setup(0).headers["transport"]).groups()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(400):
            for port in ports:
                data = dice.randbytes(dice.choice([0, 1, 4, 12, 28, 1400, 9000]))
                if number % 2:
                    # Looks like RTCP: receiver reports with lengths that lie, BYE, APP.
                    data = bytes([0x80 | dice.randrange(32), dice.choice([200, 201, 202, 203, 204, 205, 206, 207]),
                                  *dice.randbytes(2)]) + data
                sender.sendto(data, ("127.0.0.1", int(port)))
    bystanders.check_undisturbed()


@test(seconds_max=60)
def foreign_bye_ends_nobody(context):
    """An RTCP BYE or report from another address does not end or move a session."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    victim = bystanders.readers[0]
    probe = Reader(context.closing(ReaderLoop()), weir.url("demo"))
    probe.describe()
    port = int(re.search(r"server_port=\d+-(\d+)", probe.setup(0).headers["transport"]).group(1))
    ssrc = next(iter(victim.flows[0].ssrcs))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for source in (ssrc, 0, 1):
            sender.sendto(struct.pack("!BBHI", 0x81, 203, 1, source), ("127.0.0.1", port))
            sender.sendto(struct.pack("!BBHI", 0x80, 201, 1, source), ("127.0.0.1", port))
    bystanders.check_undisturbed()


@test(seconds_max=60)
def truncated_requests(context):
    """A request cut off at every length, then the connection closed or left open."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    request = (f"SETUP {weir.url('demo')}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
               f"Content-Length: 10\r\n\r\n01234567").encode()
    left_open = []
    for length in range(0, len(request), 3):
        connection = connect(("127.0.0.1", weir.port))
        connection.sendall(request[:length])
        if length % 2:
            connection.close()
        else:
            left_open.append(connection)
    bystanders.check_undisturbed()
    for connection in left_open:
        connection.close()


def request_lines(weir, *, method="SETUP", target=None, version="RTSP/1.0", headers=()):
    lines = [f"{method} {target or weir.url('demo') + '/trackID=0'} {version}", "CSeq: 5", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@test(seconds_max=60)
def wrong_requests_get_a_reason(context):
    """Wrong order, wrong numbers, wrong words: each request gets the status that says why."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    tcp = "Transport: RTP/AVP/TCP;unicast;"
    udp = "Transport: RTP/AVP;unicast;"
    refused = range(400, 600)
    transport_refused = (400, 403, 461)
    cases = [
        ("PLAY before SETUP", dict(method="PLAY", target=weir.url("demo")), (454, 455)),
        ("PAUSE before SETUP", dict(method="PAUSE", target=weir.url("demo")), (454, 455)),
        ("TEARDOWN of nothing", dict(method="TEARDOWN", target=weir.url("demo")), (454, 455)),
        ("RECORD of nothing", dict(method="RECORD", target=weir.url("demo")), (454, 455)),
        ("PLAY in an unknown session", dict(method="PLAY", target=weir.url("demo"), headers=["Session: 0123456789"]), (454,)),
        ("SETUP without Transport", dict(), (400, 461)),
        ("SETUP of a track that is not there", dict(target=weir.url("demo") + "/trackID=7", headers=[tcp + "interleaved=0-1"]), (404, 400)),
        ("SETUP of track -1", dict(target=weir.url("demo") + "/trackID=-1", headers=[tcp + "interleaved=0-1"]), (404, 400)),
        ("SETUP of a huge track", dict(target=weir.url("demo") + "/trackID=99999999999999999999", headers=[tcp + "interleaved=0-1"]), (404, 400)),
        ("interleaved=255-", dict(headers=[tcp + "interleaved=255-"]), transport_refused),
        ("interleaved=255-256", dict(headers=[tcp + "interleaved=255-256"]), transport_refused),
        ("interleaved=-1-0", dict(headers=[tcp + "interleaved=-1-0"]), transport_refused),
        ("interleaved=99999999999999999999-1", dict(headers=[tcp + "interleaved=99999999999999999999-1"]), transport_refused),
        ("client_port=0-1", dict(headers=[udp + "client_port=0-1"]), transport_refused),
        ("client_port=65535-", dict(headers=[udp + "client_port=65535-"]), transport_refused),
        ("client_port=-5--4", dict(headers=[udp + "client_port=-5--4"]), transport_refused),
        ("client_port=65536-65537", dict(headers=[udp + "client_port=65536-65537"]), transport_refused),
        ("client_port=18446744073709551616-1", dict(headers=[udp + "client_port=18446744073709551616-1"]), transport_refused),
        ("no client_port", dict(headers=["Transport: RTP/AVP;unicast"]), transport_refused),
        ("an unknown profile", dict(headers=["Transport: RAW/RAW/UDP;unicast;client_port=5000-5001"]), (461,)),
        ("Content-Length: -1", dict(method="OPTIONS", headers=["Content-Length: -1"]), (400,)),
        ("Content-Length: 99999999999999999999", dict(method="OPTIONS", headers=["Content-Length: 99999999999999999999"]), (400, 413)),
        ("Content-Length: 4294967296", dict(method="OPTIONS", headers=["Content-Length: 4294967296"]), (400, 413)),
        ("two Content-Lengths", dict(method="OPTIONS", headers=["Content-Length: 0", "Content-Length: 5"]), (400,)),
        ("an unknown method", dict(method="FROBNICATE"), (405, 501)),
        ("RTSP/9.9", dict(version="RTSP/9.9"), (400, 505)),
        ("HTTP/1.1", dict(method="BREW", version="HTTP/1.1"), refused),
        ("an unknown Require", dict(method="OPTIONS", headers=["Require: teleportation"]), (551,)),
        ("SET_PARAMETER of something unknown", dict(method="SET_PARAMETER", target=weir.url("demo"),
                                                     headers=["Content-Type: text/parameters"]), (200, 451, 454)),
        ("ANNOUNCE to a path that pulls", dict(method="ANNOUNCE", target=weir.url("demo"), headers=["Content-Type: application/sdp"]),
         (400, 403, 405, 455)),
        ("DESCRIBE for something else than SDP", dict(method="DESCRIBE", target=weir.url("demo"), headers=["Accept: text/html"]), (406,)),
    ]
    wrong = []
    for title, parts, allowed in cases:
        answer = fetch(("127.0.0.1", weir.port), request_lines(weir, **parts), seconds=3)
        if status_of(answer) not in allowed:
            wrong.append(f"{title}: {answer[:60]!r}, expected one of {list(allowed)[:4]}")
    bystanders.check_undisturbed()
    check(not wrong, lambda: "\n  ".join(["answers that do not say why:", *wrong]))


@test(seconds_max=60)
def oversized_requests(context):
    """Headers, bodies and lines without end are refused and the connection is closed; memory stays small."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)

    def resident_mib():
        with open(f"/proc/{weir.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024
    before = resident_mib()
    start = f"OPTIONS {weir.url('demo')} RTSP/1.0\r\nCSeq: 1\r\n".encode()
    streams = {
        "a line without end": b"A" * 4_000_000,
        "a header without end": start + b"X-Long: " + b"y" * 4_000_000,
        "headers without end": start + b"X-Many: y\r\n" * 400_000,
        "blank lines without end": b"\r\n" * 2_000_000,
        "a body that is too large": start + b"Content-Length: 104857600\r\n\r\n" + b"z" * 4_000_000,
    }
    for title, data in streams.items():
        with connect(("127.0.0.1", weir.port)) as connection:
            answer = exchange(connection, data, seconds=5, until_close=True)
        if title != "blank lines without end":
            check(status_of(answer) in (400, 413, 414, 431, None), f"{title}: {answer[:60]!r}")
    # Many who send half a header and wait.
    slow = [connect(("127.0.0.1", weir.port)) for _ in range(200)]
    for connection in slow:
        connection.sendall(start + b"X-Slow: " + b"s" * 8000)
    bystanders.check_undisturbed()
    check(resident_mib() < before + 64, f"memory grew from {before:.0f} to {resident_mib():.0f} MiB")
    for connection in slow:
        connection.close()


@test(seconds_max=40)
def frames_nobody_set_up(context):
    """`$` frames on channels that were never set up, before a session, and in the middle of media."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    dice = random.Random(5)
    with connect(("127.0.0.1", weir.port)) as connection:
        frames = b"".join(struct.pack("!BBH", 0x24, channel, 50) + dice.randbytes(50) for channel in range(256))
        answer = exchange(connection, frames + request_lines(weir, method="OPTIONS"), 3)
        check(status_of(answer) in (200, 400, None), f"OPTIONS after stray frames: {answer[:60]!r}")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"), "tcp")
    reader.start()
    for _ in range(3):
        for size in (0, 1, 7, 65_535):
            reader.connection.sendall(struct.pack("!BBH", 0x24, dice.randrange(256), size) + dice.randbytes(size))
        # And on its own RTCP channel, things that are not RTCP.
        reader.connection.sendall(struct.pack("!BBH", 0x24, 1, 40) + dice.randbytes(40))
        reader.request("GET_PARAMETER", reader.base)
    reader.wait_for_packets(0, 30, 5)
    check(reader.flows[0].lost == 0, "the reader that sends stray frames lost packets")
    bystanders.check_undisturbed()


@test(seconds_max=40)
def one_session_two_connections(context):
    """Another connection that names somebody's session cannot make its media go elsewhere."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    address = ("127.0.0.1", weir.port)
    for victim in bystanders.readers:
        session = f"Session: {victim.session}"
        # Naming a session from another connection of the same host is a keep-alive, unless its media uses its own connection …
        answer = fetch(address, request_lines(weir, method="GET_PARAMETER", target=victim.base, headers=[session]))
        check(status_of(answer) in ((200,) if victim.transport == "udp" else (200, 454, 455)), f"GET_PARAMETER: {answer[:60]!r}")
        # … but a SETUP there must not steal, mix or crash anything.
        for transport in ("RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP;unicast;client_port=40000-40001"):
            with connect(address) as connection:
                answer = exchange(connection, request_lines(weir, headers=[session, "Transport: " + transport]), 3)
                check(status_of(answer) in range(400, 500), f"SETUP in another connection's session over {transport}: {answer[:60]!r}")
                time.sleep(0.3)
                connection.settimeout(0.2)
                try:
                    rest = connection.recv(65536)
                except TimeoutError:
                    rest = b""
                check(not any(isinstance(item, Frame) for item in Parser().feed(rest)), "media arrived on the wrong connection")
    bystanders.check_undisturbed()


@test(seconds_max=30)
def no_amplifier(context):
    """`destination=` that points elsewhere is refused or ignored in words; nothing is sent there."""
    weir = context.weir("demo")
    bystanders = Bystanders(context, weir)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.2", 0))
        port = elsewhere.getsockname()[1] & ~1
        with connect(("127.0.0.1", weir.port)) as connection:
            for destination in ("127.0.0.2", "192.0.2.1", "localhost", "255.255.255.255", "224.1.1.1", "x" * 3000):
                transport = f"Transport: RTP/AVP;unicast;destination={destination};client_port={port}-{port + 1}"
                answer = exchange(connection, request_lines(weir, headers=[transport]), 3)
                check(status_of(answer) in range(400, 500), f"destination={destination[:20]}: {answer[:60]!r}")
        # One's own address is allowed.
        own = f"Transport: RTP/AVP;unicast;destination=127.0.0.1;client_port={port}-{port + 1}"
        check(status_of(fetch(("127.0.0.1", weir.port), request_lines(weir, headers=[own]))) == 200, "one's own destination was refused")
        elsewhere.settimeout(0.5)
        try:
            check(not elsewhere.recv(2048), "media was sent elsewhere")
        except TimeoutError:
            pass
    bystanders.check_undisturbed()


ODD_DESCRIPTIONS = {
    "empty": b"",
    "no media": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n",
    "random": os.urandom(600),
    "huge numbers": b"v=0\r\no=- 99999999999999999999 1 IN IP4 1.1.1.1\r\ns=x\r\nt=0 0\r\nm=video 99999999 RTP/AVP 4096\r\n"
                    b"a=rtpmap:4096 H264/99999999999999\r\na=control:x\r\n",
    "clock rate 0": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\na=control:x\r\n",
    "a thousand tracks": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n" + b"m=audio 0 RTP/AVP 0\r\na=control:x\r\n" * 1000,
}


@test(seconds_max=40)
def odd_publishers(context):
    """ANNOUNCE with descriptions that make no sense, and RECORD without SETUP, are refused; the path stays free."""
    weir = context.weir("serve", config="paths:\n  live:\n    source: publish\n")
    address = ("127.0.0.1", weir.port)
    url = weir.url("live")
    for title, body in ODD_DESCRIPTIONS.items():
        with connect(address) as connection:
            head = f"ANNOUNCE {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
            answer = exchange(connection, head.encode() + body, 3)
            check(status_of(answer) is not None, f"ANNOUNCE with a description that is {title}: {answer[:60]!r}")
            if title in ("empty", "no media", "random"):
                check(status_of(answer) in range(400, 600), f"ANNOUNCE with a description that is {title}: {answer[:60]!r}")
            messages = [item for item in Parser().feed(answer) if isinstance(item, Message)]
            session = messages[0].headers.get("session", "x").split(";")[0]
            answer = exchange(connection, f"RECORD {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n".encode(), 3)
            check(status_of(answer) in range(400, 600), f"RECORD without SETUP: {answer[:60]!r}")
        weir.check_alive()
    good = (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n")
    head = f"ANNOUNCE {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: {len(good)}\r\n\r\n"
    deadline = time.monotonic() + 5
    while True:  # the connections above may still be closing
        answer = fetch(address, head.encode() + good)
        if status_of(answer) == 200 or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    check(status_of(answer) == 200, f"after all that, a proper ANNOUNCE got {answer[:60]!r}")
