"""An RTSP player of stored media, by hand: over TCP, each packet with the moment at which it came."""
import re
import struct
import threading
import time

from . import rtsp
from .registry import check


class StoredPlayer:
    """Describes, sets up all tracks on the connection, plays."""

    def __init__(self, weir, path):
        self.url = weir.url(path)
        self.connection = rtsp.connect((weir.host, weir.port), 12.0)
        self.answers, self.sequence, self.session = [], 0, None
        self.packets, self.reports, self.goodbyes = [], [], set()  # (moment, track, sequence, timestamp, bytes); (moment, track, ntp, timestamp)
        self.condition = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def close(self):
        self.connection.close()

    def _read(self):
        parser = rtsp.Parser()
        try:
            while True:
                data = self.connection.recv(65536)
                if not data:
                    break
                now = time.monotonic()
                with self.condition:
                    for item in parser.feed(data):
                        if isinstance(item, rtsp.Message):
                            self.answers.append(item)
                        elif item.channel % 2 == 0:
                            sequence, stamp = struct.unpack_from("!HI", item.payload, 2)
                            self.packets.append((now, item.channel // 2, sequence, stamp, item.payload))
                        else:
                            self._report(now, item.channel // 2, item.payload)
                    self.condition.notify_all()
        except OSError:
            pass

    def _report(self, now, track, data):
        while len(data) >= 4:
            length = 4 + 4 * struct.unpack_from("!H", data, 2)[0]
            if data[1] == 200:
                seconds, fraction, stamp = struct.unpack_from("!III", data, 8)
                self.reports.append((now, track, seconds + fraction / 2**32, stamp))
            if data[1] == 203:
                self.goodbyes.add(track)
            data = data[length:]

    def wait(self, condition, seconds, what):
        with self.condition:
            check(self.condition.wait_for(condition, seconds), lambda: f"in {seconds} s not: {what}")

    def ask(self, method, uri=None, *headers, status=200):
        self.sequence += 1
        session = [f"Session: {self.session}"] if self.session else []
        seen = len(self.answers)
        text = "\r\n".join([f"{method} {uri or self.url} RTSP/1.0", f"CSeq: {self.sequence}", *session, *headers, "", ""])
        self.connection.sendall(text.encode())
        self.wait(lambda: len(self.answers) > seen, 12, f"an answer to {method}")
        answer = self.answers[seen]
        check(answer.status == status, lambda: f"{method} {headers} was answered with {answer.start}: {answer.body.decode()}")
        return answer

    def set_up(self):
        """The description's text; all its tracks are set up."""
        answer = self.ask("DESCRIBE", None, "Accept: application/sdp")
        sdp = answer.body.decode()
        self.controls = re.findall(r"a=control:(trackID=\d+)", sdp)
        self.clocks = [int(clock) for clock in re.findall(r"a=rtpmap:\d+ [^/]+/(\d+)", sdp)]
        for number, control in enumerate(self.controls):
            answer = self.ask("SETUP", f"{self.url}/{control}", f"Transport: RTP/AVP/TCP;unicast;interleaved={2 * number}-{2 * number + 1}")
            self.session = answer.headers["session"].split(";")[0]
        return sdp

    def play(self, begin=None, end=""):
        """Where it begins and ends by the answer, and for each track (sequence, timestamp) of RTP-Info."""
        with self.condition:
            self.first = len(self.packets)
        answer = self.ask("PLAY", None, *([f"Range: npt={begin}-{end}"] if begin is not None else []))
        start, last = re.fullmatch(r"npt=([\d.]+)-([\d.]+)", answer.headers["range"]).groups()
        infos = re.findall(r"seq=(\d+);rtptime=(\d+)", answer.headers["rtp-info"])
        return float(start), float(last), [(int(sequence), int(stamp)) for sequence, stamp in infos]

    def since_play(self, track):
        with self.condition:
            return [packet for packet in self.packets[self.first:] if packet[1] == track]
