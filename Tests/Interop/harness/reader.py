"""An RTSP reader that records what arrives: over UDP or TCP, many in one thread."""
import os
import queue
import re
import selectors
import socket
import struct
import threading
import time

from .registry import Failure, check
from .rtsp import Frame, Message, Parser, connect, parse_url

SO_RCVBUFFORCE = 33


class Flow:
    """One track's RTP as it came in: counts, with `keep` every header, with keep="all" every packet."""

    def __init__(self, keep):
        self.kept = [] if keep else None  # (arrival, sequence, timestamp, ssrc, marker, first two payload bytes)
        self.whole = [] if keep == "all" else None
        self.packets = self.lost = self.repeated = self.backward = 0
        self.ssrcs = set()
        self.first = None
        self.last_sequence = self.last_timestamp = None
        self.last_arrival = 0.0
        self.silence_max = 0.0

    def wait_first(self, seconds):
        """When the first packet came; needs `keep`."""
        deadline = time.monotonic() + seconds
        while not self.kept:
            if time.monotonic() > deadline:
                raise Failure(f"no packet within {seconds} s")
            time.sleep(0.01)
        return self.kept[0][0]

    def take(self, data, arrival):
        if len(data) < 12:
            return
        sequence, timestamp, ssrc = struct.unpack_from("!HII", data, 2)
        if self.first is None:
            self.first = (sequence, timestamp, ssrc, data)
        else:
            ahead = (sequence - self.last_sequence - 1) & 0xFFFF
            if ahead >= 0x8000:
                self.repeated += 1  # a copy, or late
                self.lost -= 1 if ahead != 0xFFFF else 0
                return
            self.lost += ahead
            if (timestamp - self.last_timestamp) & 0xFFFFFFFF >= 0x80000000:
                self.backward += 1
            self.silence_max = max(self.silence_max, arrival - self.last_arrival)
        self.packets += 1
        self.ssrcs.add(ssrc)
        self.last_sequence, self.last_timestamp, self.last_arrival = sequence, timestamp, arrival
        if self.kept is not None:
            self.kept.append((arrival, sequence, timestamp, ssrc, data[1] >> 7, data[12:14]))
        if self.whole is not None:
            self.whole.append(data)


class ReaderLoop:
    """The thread that reads every socket of its readers."""

    def __init__(self):
        self.selector = selectors.EpollSelector()
        self.wake_in, self.wake_out = socket.socketpair()
        self.selector.register(self.wake_in, selectors.EVENT_READ, None)
        self.open = True
        self.lock = threading.Lock()
        self.pending = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def add(self, sock, callback):
        with self.lock:
            self.pending.append(("add", sock, callback))
        self.wake_out.send(b"x")

    def remove(self, sock):
        """Also closes it, in the loop's thread."""
        with self.lock:
            self.pending.append(("remove", sock, None))
        self.wake_out.send(b"x")

    def pause(self, sock):
        """Stops reading a socket, without closing it."""
        with self.lock:
            self.pending.append(("pause", sock, None))
        self.wake_out.send(b"x")

    def _apply(self):
        with self.lock:
            pending, self.pending = self.pending, []
        for what, sock, callback in pending:
            try:
                if what == "add":
                    self.selector.register(sock, selectors.EVENT_READ, callback)
                else:
                    self.selector.unregister(sock)
            except (KeyError, ValueError):
                pass
            if what == "remove":
                sock.close()

    def _run(self):
        while self.open:
            for key, _ in self.selector.select(0.5):
                if key.data is None:
                    self.wake_in.recv(4096)
                    continue
                try:
                    if not key.data():
                        self.selector.unregister(key.fileobj)
                except (OSError, KeyError):
                    try:
                        self.selector.unregister(key.fileobj)
                    except (KeyError, ValueError):
                        pass
            self._apply()

    def close(self):
        self.open = False
        self.wake_out.send(b"x")
        self.thread.join(2)


class Reader:
    """One session. Verbs return the response Message; `flows[track]` fills while it plays."""

    def __init__(self, loop, url, transport="udp", keep=False, seconds=10.0, receive_buffer_bytes=4 << 20):
        self.loop, self.url, self.transport, self.keep, self.seconds = loop, url, transport, keep, seconds
        self.receive_buffer_bytes = receive_buffer_bytes
        host, port, _, _, _ = parse_url(url)
        self.address = (host, port)
        self.connection = connect(self.address, seconds)
        if transport == "tcp":
            self._size(self.connection)
        self.parser, self.responses = Parser(), queue.Queue()
        self.sequence, self.session, self.closed = 0, None, False
        self.sdp, self.controls, self.base = "", [], url
        self.flows, self.sockets, self.channels = {}, {}, {}
        self.reports, self.unknown_frames = {}, 0
        self.promised_ssrcs = {}  # track -> what Transport said
        self.peers, self.server_ports = {}, {}  # (track, is RTCP) -> senders seen; track -> (RTP, RTCP) that Transport said
        self.play_answered = None
        self.connection.setblocking(True)
        loop.add(self.connection, self._read_connection)

    def _size(self, sock):
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, self.receive_buffer_bytes)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer_bytes)

    # What arrives ------------------------------------------------------------------------------------------------

    def _read_connection(self):
        try:
            data = self.connection.recv(262144)
        except ConnectionError:
            data = b""
        arrival = time.monotonic()
        if not data:
            self.closed = True
            self.responses.put(None)
            return False
        for item in self.parser.feed(data):
            if isinstance(item, Message):
                if item.headers.get("cseq") == str(self.sequence) and item.status == 200 and self.awaiting == "PLAY":
                    self.play_answered = arrival
                self.responses.put(item)
            else:
                self._take_frame(item, arrival)
        return True

    def _take_frame(self, frame: Frame, arrival):
        track, is_report = self.channels.get(frame.channel, (None, None))
        if track is None:
            self.unknown_frames += 1
        elif is_report:
            self.reports.setdefault(track, []).append((arrival, frame.payload))
        else:
            self.flows[track].take(frame.payload, arrival)

    def _read_datagrams(self, sock, track, is_report):
        flow = self.flows[track]

        def read():
            # A bounded sweep, so that one busy socket does not starve the others.
            for _ in range(64):
                try:
                    data, peer = sock.recvfrom(65536, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                except ConnectionRefusedError:
                    continue
                arrival = time.monotonic()
                self.peers.setdefault((track, is_report), set()).add(peer[:2])
                if is_report:
                    self.reports.setdefault(track, []).append((arrival, data))
                else:
                    flow.take(data, arrival)
            return True
        return read

    # Verbs -------------------------------------------------------------------------------------------------------

    awaiting = None
    # Ports are not used twice: a session that was left without TEARDOWN still sends to its old ones.
    next_port = 10_000 + 2 * (os.getpid() * 997 % 20_000)
    port_lock = threading.Lock()

    @classmethod
    def _take_port(cls):
        with cls.port_lock:
            port = cls.next_port
            cls.next_port = port + 2 if port < 64_000 else 10_000
            return port

    def request(self, method, url=None, headers=(), body=b"", expect=200, seconds=None):
        self.sequence += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self.sequence}", "User-Agent: weir-interop"]
        if self.session:
            lines.append(f"Session: {self.session}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.awaiting = method
        try:
            self.connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            answer = self.responses.get(timeout=seconds or self.seconds)
        except queue.Empty:
            raise Failure(f"{method} was not answered within {seconds or self.seconds} s") from None
        except OSError as error:
            raise Failure(f"{method} could not be sent: {error}") from None
        check(answer is not None, f"the connection was closed instead of an answer to {method}")
        check(answer.headers.get("cseq") == str(self.sequence), lambda: f"{method}: CSeq {answer.headers.get('cseq')} came back for {self.sequence}")
        check(expect is None or answer.status == expect, lambda: f"{method} was answered with `{answer.start}`, not {expect}")
        return answer

    def describe(self, **options):
        answer = self.request("DESCRIBE", headers=[("Accept", "application/sdp")], **options)
        if answer.status == 200:
            self.sdp = answer.body.decode()
            self.base = answer.headers.get("content-base", self.url)
            media = re.split(r"^m=", self.sdp, flags=re.MULTILINE)[1:]
            self.controls = [re.search(r"^a=control:(\S+)", part, re.MULTILINE).group(1) for part in media]
        return answer

    def control_url(self, track):
        control = self.controls[track]
        if control.startswith("rtsp://"):
            return control
        return self.base + ("" if self.base.endswith("/") else "/") + control

    def setup(self, track, transport=None, channels=None, **options):
        """SETUP of a track. `transport` replaces the whole Transport header."""
        self.flows.setdefault(track, Flow(self.keep))
        if self.transport == "udp":
            pair = self._open_pair(track)
            offer = f"RTP/AVP;unicast;client_port={pair[0]}-{pair[1]}"
        else:
            channels = channels or (2 * track, 2 * track + 1)
            offer = f"RTP/AVP/TCP;unicast;interleaved={channels[0]}-{channels[1]}"
        answer = self.request("SETUP", self.control_url(track), [("Transport", transport or offer)], **options)
        if answer.status == 200:
            self.session = answer.headers["session"].split(";")[0]
            ssrc = re.search(r"ssrc=([0-9A-Fa-f]{8})", answer.headers.get("transport", ""))
            self.promised_ssrcs[track] = int(ssrc.group(1), 16) if ssrc else None
            ports = re.search(r"server_port=(\d+)-(\d+)", answer.headers.get("transport", ""))
            self.server_ports[track] = tuple(map(int, ports.groups())) if ports else None
            given = re.search(r"interleaved=(\d+)-(\d+)", answer.headers.get("transport", ""))
            if given:
                self.channels[int(given.group(1))] = (track, False)
                self.channels[int(given.group(2))] = (track, True)
        return answer

    def _open_pair(self, track):
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        local = self.connection.getsockname()[0]
        for _ in range(5_000):  # a program that measures may hold thousands side by side
            port = self._take_port()
            rtp, rtcp = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
            try:
                rtp.bind((local, port))
                rtcp.bind((local, port + 1))
                break
            except OSError:
                rtp.close()
                rtcp.close()
        else:
            raise Failure("no free UDP port pair on this machine")
        self._size(rtp)
        self.sockets[track] = (rtp, rtcp)
        self.loop.add(rtp, self._read_datagrams(rtp, track, False))
        self.loop.add(rtcp, self._read_datagrams(rtcp, track, True))
        return port, port + 1

    def play(self, **options):
        """PLAY; returns {track: (sequence, rtptime)} from RTP-Info, by control URL."""
        answer = self.request("PLAY", self.base, [("Range", "npt=0.000-")], **options)
        return self.rtp_info(answer) if answer.status == 200 else answer

    def rtp_info(self, answer):
        info = {}
        for part in answer.headers.get("rtp-info", "").split(","):
            fields = dict(field.strip().partition("=")[::2] for field in part.split(";"))
            for track in range(len(self.controls)):
                if fields.get("url", "").rstrip("/").endswith(self.controls[track].rstrip("/")) and "seq" in fields:
                    info[track] = (int(fields["seq"]), int(fields.get("rtptime", -1)))
        return info

    def start(self):
        """DESCRIBE, SETUP of every track, PLAY."""
        self.describe()
        for track in range(len(self.controls)):
            self.setup(track)
        return self.play()

    def pause(self):
        return self.request("PAUSE", self.base)

    def teardown(self, **options):
        return self.request("TEARDOWN", self.base, **options)

    def stop_reading(self):
        """Leaves the connection open but takes nothing from it any more."""
        self.loop.pause(self.connection)

    def go_on_reading(self):
        """After stop_reading()."""
        self.loop.add(self.connection, self._read_connection)

    def say_goodbye(self):
        """An RTCP receiver report and BYE (RFC 3550, section 6.6) on each UDP track, to the port that the server named."""
        for track, (_, rtcp) in self.sockets.items():
            ssrc = 0x57450000 + track
            rtcp.sendto(struct.pack("!BBHI", 0x80, 201, 1, ssrc) + struct.pack("!BBHI", 0x81, 203, 1, ssrc),
                        (self.address[0], self.server_ports[track][1]))

    def wait_for_packets(self, track, count, seconds):
        deadline = time.monotonic() + seconds
        start = self.flows[track].packets
        while self.flows[track].packets - start < count:
            if time.monotonic() > deadline:
                raise Failure(f"track {track}: {self.flows[track].packets - start} packets in {seconds} s, {count} expected")
            time.sleep(0.01)

    def kernel_drops(self):
        """What the kernel threw away at this reader's own sockets: then the reader was too slow, not the server."""
        inodes = {os.fstat(sock.fileno()).st_ino for pair in self.sockets.values() for sock in pair if sock.fileno() >= 0}
        dropped = 0
        for table in ("/proc/net/udp", "/proc/net/udp6"):
            with open(table) as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    if int(fields[9]) in inodes:
                        dropped += int(fields[-1])
        return dropped

    def close(self):
        self.loop.remove(self.connection)
        for pair in self.sockets.values():
            for sock in pair:
                self.loop.remove(sock)
        self.sockets = {}
