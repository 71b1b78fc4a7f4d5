"""What a session promises a reader."""
import re
import socket
import time

from harness.reader import Reader, ReaderLoop
from harness.registry import check, test
from harness.rtsp import connect, exchange


def nal_type(data):
    """Of an RTP packet with H.264; a fragment tells what it is a fragment of."""
    kind = data[12] & 0x1F
    return data[13] & 0x1F if kind == 28 else kind


@test(seconds_max=40, transport=["udp", "tcp"])
def begins_with_the_named_key_frame(context, transport):
    """The first video packet is the first of a key frame, and RTP-Info names each track's first packet exactly."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    for attempt in range(5):
        reader = Reader(loop, weir.url("demo"), transport, keep=True)
        info = reader.start()
        check(sorted(info) == [0, 1], f"RTP-Info names the tracks {sorted(info)}")
        reader.wait_for_packets(0, 30, 10)
        reader.wait_for_packets(1, 5, 10)
        for track in (0, 1):
            first = reader.flows[track].kept[0]
            check(first[1:3] == info[track], f"try {attempt}, track {track}: RTP-Info {info[track]}, first packet {first[1:3]}")
            promised = reader.promised_ssrcs[track]
            check(promised is None or {promised} == reader.flows[track].ssrcs, f"track {track}: Transport promised another SSRC")
            check(reader.flows[track].lost == 0, f"track {track} lost {reader.flows[track].lost}")
        check(nal_type(reader.flows[0].first[3]) == 7, f"the first packet has NAL type {nal_type(reader.flows[0].first[3])}, not a parameter set")
        reader.teardown()
        reader.close()
        time.sleep(0.17)


@test(seconds_max=30)
def gets_the_pair_it_asks_for(context):
    """`interleaved=` is granted as asked; a pair that is taken on the connection is replaced by a free one."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    for wanted in ((0, 1), (6, 7), (254, 255), (4, 9)):
        reader = Reader(loop, weir.url("demo"), "tcp")
        reader.describe()
        answer = reader.setup(0, channels=wanted)
        check(f"interleaved={wanted[0]}-{wanted[1]}" in answer.headers["transport"], f"{wanted} asked, given: {answer.headers['transport']}")
        second = reader.setup(1, channels=wanted)
        given = tuple(int(n) for n in re.search(r"interleaved=(\d+)-(\d+)", second.headers["transport"]).groups())
        check(not set(given) & set(wanted), f"{wanted} is taken, given: {given}")
        reader.play()
        reader.wait_for_packets(0, 10, 5)
        reader.wait_for_packets(1, 10, 5)
        check(reader.unknown_frames == 0, f"{reader.unknown_frames} frames on channels nobody set up")
        reader.close()


@test(seconds_max=40, transport=["udp", "tcp"])
def pauses_and_plays(context, transport):
    """After PAUSE nothing arrives; PLAY goes on at a key frame that RTP-Info names; requests are answered amid media."""
    weir = context.weir("demo")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"), transport, keep=True)
    reader.start()
    reader.wait_for_packets(0, 30, 10)
    for _ in range(20):
        reader.request("GET_PARAMETER", reader.base)
        reader.request("OPTIONS", reader.base)
    reader.pause()
    time.sleep(0.3)
    before = [flow.packets for flow in reader.flows.values()]
    time.sleep(1.5)
    check([flow.packets for flow in reader.flows.values()] == before, "media arrived after PAUSE")
    ssrcs = [flow.ssrcs for flow in reader.flows.values()]
    for flow in reader.flows.values():
        flow.kept.clear()
    info = reader.play()
    reader.wait_for_packets(0, 30, 10)
    reader.wait_for_packets(1, 5, 10)
    for track, flow in reader.flows.items():
        check(flow.kept[0][1:3] == info[track], f"track {track}: RTP-Info {info[track]}, first packet {flow.kept[0][1:3]}")
        check(flow.backward == 0 and flow.ssrcs == ssrcs[track], f"track {track}: the timeline broke")
    check(reader.flows[0].kept[0][5][0] & 0x1F == 7, "PLAY did not go on at a key frame")
    reader.play()  # some players repeat PLAY to stay alive
    reader.wait_for_packets(0, 10, 5)
    reader.teardown()
    answer = reader.request("GET_PARAMETER", reader.base, expect=None)
    check(answer.status == 454, f"after TEARDOWN the session answers {answer.start}")


@test(seconds_max=30)
def plays_only_what_was_set_up(context):
    """A reader of one track gets that track."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    for transport in ("udp", "tcp"):
        reader = Reader(loop, weir.url("demo"), transport)
        reader.describe()
        reader.setup(1)
        info = reader.play()
        check(list(info) == [1], f"RTP-Info names the tracks {list(info)}")
        reader.wait_for_packets(1, 40, 5)
        check(reader.unknown_frames == 0, "frames of the other track arrived")
        reader.close()


@test(seconds_max=40)
def sender_reports_fit(context):
    """Sender reports reach readers early and map NTP to the RTP line that the packets show, alike for both tracks."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    for transport in ("udp", "tcp"):
        reader = Reader(loop, weir.url("demo"), transport, keep=True)
        reader.start()
        reader.wait_for_packets(0, 300, 20)
        wall = {}
        for track, clock in ((0, 90_000), (1, 48_000)):
            reports = [data for _, data in reader.reports.get(track, []) if data[1] == 200]
            check(reports, f"{transport} track {track}: no sender report in the first seconds")
            data = reports[0]
            ssrc, high, low, stamp = (int.from_bytes(data[at:at + 4], "big") for at in (4, 8, 12, 16))
            check({ssrc} == reader.flows[track].ssrcs, f"{transport} track {track}: the report's SSRC is not the packets'")
            # The wall clock of the first packet by this report.
            first = reader.flows[track].kept[0]
            ahead = ((first[2] - stamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            check(abs(ahead) / clock < 20, f"{transport} track {track}: the report is {ahead / clock:.1f} s away from the packets")
            wall[track] = high + low / 2**32 + ahead / clock - first[0]
        check(abs(wall[0] - wall[1]) < 0.25, f"{transport}: by the reports the tracks are {wall[0] - wall[1]:.3f} s apart")
        reader.close()


@test(seconds_max=120)
def vanished_reader_is_forgotten(context):
    """A UDP reader whose connection is gone is dropped at the session timeout, one that names its session now and then is not."""
    weir = context.weir("demo")
    loop = context.closing(ReaderLoop())
    lost, kept = Reader(loop, weir.url("demo")), Reader(loop, weir.url("demo"))
    for reader in (lost, kept):
        reader.start()
    timeout = 60
    for reader in (lost, kept):
        loop.remove(reader.connection)
    start = time.monotonic()
    while time.monotonic() - start < timeout + 15:
        time.sleep(15)
        with connect(kept.address) as connection:
            answer = exchange(connection, f"GET_PARAMETER {kept.base} RTSP/1.0\r\nCSeq: 1\r\nSession: {kept.session}\r\n\r\n".encode())
        check(answer.startswith(b"RTSP/1.0 200"), f"the keep-alive was answered with {answer[:60]!r}")
    alive = time.monotonic() - 2
    check(kept.flows[0].last_arrival > alive, "the reader that kept its session alive gets nothing")
    silent = lost.flows[0].last_arrival - start
    check(30 < silent < timeout + 12, f"the vanished reader got media for {silent:.0f} s")
    check(weir.status()["readers"] == 1, f"readers: {weir.status()['readers']}")


@test(seconds_max=30)
def closed_connection_ends_tcp_session(context):
    """A TCP reader ends with its connection."""
    weir = context.weir("demo")
    reader = Reader(context.closing(ReaderLoop()), weir.url("demo"), "tcp")
    reader.start()
    weir.wait_for_status(lambda line: line["readers"] == 1, 5, "one reader")
    reader.close()
    weir.wait_for_status(lambda line: line["readers"] == 0, 5, "no reader")


@test(seconds_max=30)
def socket_buffers_take_pipelined_requests(context):
    """Requests in one packet, and one request byte by byte, are answered in order."""
    weir = context.weir("demo")
    url = weir.url("demo")
    text = "".join(f"OPTIONS {url} RTSP/1.0\r\nCSeq: {number}\r\n\r\n" for number in range(1, 21)).encode()
    with connect(("127.0.0.1", weir.port)) as connection:
        answer = b""
        connection.sendall(text)
        connection.settimeout(5)
        while answer.count(b"\r\n\r\n") < 20:
            answer += connection.recv(65536)
        check(re.findall(rb"CSeq: (\d+)", answer, re.IGNORECASE) == [str(n).encode() for n in range(1, 21)], "answers out of order")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = f"DESCRIBE {url} RTSP/1.0\nCSeq: 77\nAccept: application/sdp\n\n".encode()
        for byte in request[:-1]:
            connection.send(bytes([byte]))
            time.sleep(0.001)
        answer = exchange(connection, request[-1:])
        check(answer.startswith(b"RTSP/1.0 200") and b"77" in answer, f"a request byte by byte with bare line feeds: {answer[:60]!r}")
