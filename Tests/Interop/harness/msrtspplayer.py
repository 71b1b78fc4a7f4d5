"""A Windows Media Player over RTSP, by script: what no free player speaks. What comes is checked against the document ([MS-RTSP]) alone;
whatever is not expected is a failure.

    player = Player("127.0.0.1", port, "/live", transport="udp")
    player.describe()                     the description; player.header
    player.set_up()                       over UDP the retransmissions, the packet pair, then each stream; over TCP each stream
    player.play()                         PLAY and the connecting log, pipelined
    player.read_units(100)                so many ASF packets; player.units has them all
    player.log_play(); player.pause(); player.select(…); player.seek(…); player.teardown(); player.close()

EndOfStream and Announce are answered as they come; each announced description is a new entry in player.entries. player.history has the
order of everything: names of answers, "eos", "announce", "rtp".
"""
import re
import selectors
import struct
import time

from .msrtsplink import AGENT, SUPPORTED, Entry, Link, Ports, Track, rtp_info, runs
from .msrtspline import behind
from .msrtspwire import NONE, Description
from .registry import check

EVERYTHING = 2147483647
LOG = ("<XML><Summary>0.0.0.0 2026-11-22 00:00:00 - {url} 0 5 1 200 {{3300AD50-2C39-46C0-AE0A-C4D98694D7B4}} 9.0.0.2980 en-US WMFSDK/9.0.0.2980 "
       "- wmplayer.exe 9.0.0.2980 Windows_XP 5.1.0.2600 Pentium 10 500000 700000 rtsp {transport} WMA WMV - 500000 500000 160 160 0 0 0 0 0 0 1 "
       "0 100 127.0.0.1 - 1 0 {url} - -</Summary><c-dns>-</c-dns><c-ip>0.0.0.0</c-ip></XML>")

__all__ = ["AGENT", "SUPPORTED", "Player", "runs"]


class Player(Link):
    def options(self, status=200):
        return self.ask("Options", "OPTIONS", self.url, status=status)

    def describe(self, headers=(), status=200):
        answer = self.ask("Describe", "DESCRIBE", self.url, ["Accept: application/sdp", *headers], status=status)
        if answer.status != 200:
            return answer
        check(answer.kind == "application/sdp" and answer["vary"] == "Accept", lambda: f"Describe: {answer}")
        base = answer["content-base"] or self.url + "/"
        check(base.endswith("/"), f"Content-Base: {base}")
        self.generation = int(answer["x-playlist-gen-id"] or 0)
        entry = Entry(Description(answer.body, base), self.generation)
        entry.answer = answer
        check(answer["x-broadcast-id"] is None or re.fullmatch(r"\d+", answer["x-broadcast-id"]), f"{answer}")
        check((int(answer["x-broadcast-id"] or 0) != 0) == entry.description.is_broadcast, f"a=type is {entry.description.features}, {answer}")
        self.entries = [entry]
        return answer

    def content_info(self, status=200):
        answer = self.ask("GetContentInfo", "GET_PARAMETER", self.url, body=b"\0", kind="application/x-wms-getcontentinfo", status=status)
        if answer.status == 200:
            check(answer["cache-control"] and not answer.body, f"GetContentInfo: {answer}")
        return answer

    def tcp_packet_pair(self):
        """Three packets of random bytes; their moments tell how wide the way is."""
        answer = self.ask("TcpPacketPair", "GET_PARAMETER", self.url, kind="application/x-rtsp-packetpair")
        at, sizes = 0, []
        while at < len(answer.body):
            first, kind, length, reason = struct.unpack_from("<BBHI", answer.body, at)
            check(first in (0x24, 0xA4) and kind == 0x50, f"$P: {answer.body[at:at + 8].hex(' ')}")
            sizes.append((length, reason))
            # The answer's head counts as part of the first one.
            at += 8 + {0: 504 - reason, 1: 504, 2: 1048 + reason}[len(sizes) - 1]
        check([size for size, _ in sizes] == [504, 504, 1048] and at == len(answer.body) == 2080, f"$P: {sizes}, {len(answer.body)} bytes")
        return sizes

    def _transport(self, is_rtx, more):
        if self.transport == "tcp":
            return f"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6095d7d7;mode=PLAY{more}"
        if is_rtx:
            return f"RTP/AVP/UDP;unicast;client_port={self.rtx_ports.first}-{self.rtx_ports.first + 1};ssrc=16a4ffff;mode=PLAY"
        return f"RTP/AVP/UDP;unicast;client_port={self.data.first};ssrc=6dded651;mode=PLAY{more}"

    def _prepare_select(self, media, thin=0):
        transport = self._transport(media.is_rtx, "")
        body = f"SSEntry: {NONE} {media.stream} {thin} {media.url}\r\n".encode() if thin else b""
        match = [f'If-Match: "{self.description.etag}"'] if self.description.etag else []
        ticket, data = self.prepare("SelectStream", "SETUP", media.url, [f"Transport: {transport}", *match], body,
                                    "application/x-wms-streamswitch" if body else None)
        ticket.done = lambda answer: self._selected(media, transport, answer) if answer.status == 200 else None
        return ticket, data

    def _selected(self, media, wanted, answer):
        text = answer["transport"] or ""
        match = re.fullmatch(r"(RTP/AVP/(?:UDP|TCP));unicast;(.*?)ssrc=([0-9a-f]{8});mode=PLAY", text)
        check(match, f"SelectStream: Transport: {text}")
        fields = dict(one.split("=") for one in match[2].split(";") if one)
        if self.transport == "tcp":
            check(match[1] == "RTP/AVP/TCP" and fields == {"interleaved": "0-1"}, f"SelectStream: Transport: {text}")
        else:
            port = re.search(r"client_port=(\d+)", wanted)[1]
            check(match[1] == "RTP/AVP/UDP" and re.fullmatch(port + r"(-\d+)?", fields.get("client_port", "")), f"SelectStream: Transport: {text}")
            check(re.fullmatch(r"\d+(-\d+)?", fields.get("server_port", "")), f"SelectStream: Transport: {text}")
        track = Track(media.url, int(match[3], 16), text)
        track.url = media.url
        if self.transport == "udp":
            ports = [int(one) for one in fields["server_port"].split("-")]
            track.server_ports = ports if len(ports) == 2 else [ports[0], ports[0] + 1]
        if media.is_rtx:
            self.rtx = track
        else:
            self.tracks[media.stream] = track
            self._line(track.ssrc, self.description)
        self.state = "ready" if self.state == "init" else self.state

    def set_up(self, streams=None, thin=None, rtx=True, pair=True, fec=None):
        """Selects `streams` (all), thinned as {stream: thin} says. The first one is waited for, the others go together. `fec`: (span, packets
        for each, how many spans are interwoven), asked for by the URL of the first stream's."""
        wanted = [self.description.streams[number] for number in sorted(streams or self.description.streams)]
        if self.transport == "udp" and self.data is None:
            self.data, self.rtx_ports = Ports(1), Ports(2)
            self.selector.register(self.data.sockets[0], selectors.EVENT_READ, self._read_data)
            self.selector.register(self.rtx_ports.sockets[0], selectors.EVENT_READ, self._read_rtx)
        if self.transport == "udp" and rtx:
            check(self.description.rtx, "the description has no retransmissions")
            if self.rtx is None:
                ticket, data = self._prepare_select(self.description.rtx)
                self.send(data)
                self.answered(ticket)
            if pair:
                self.udp_packet_pair()
        tickets = []
        if self.session is None:
            first = wanted.pop(0)
            ticket, data = self._prepare_select(first, (thin or {}).get(first.stream, 0))
            self.send(data)
            self.answered(ticket)
            check(self.session, "SelectStream: no Session")
        burst = b""
        for media in wanted:
            ticket, data = self._prepare_select(media, (thin or {}).get(media.stream, 0))
            tickets.append(ticket)
            burst += data
        if burst:
            self.send(burst)
        for ticket in tickets:
            self.answered(ticket)
        if fec:
            self.set_up_fec(fec)

    def set_up_fec(self, parameters, status=200, stream=None):
        """SETUP of the FEC of a stream, the lowest one; its packets come with the media's."""
        media = self.description.streams[stream or min(self.tracks)]
        check(media.fec, "the description offers no FEC")
        more = "".join(f";{name}={value:x}" for name, value in zip(("FecSpan", "FecPerSpan", "FecBurstMargin"), parameters))
        answer = self.ask("SelectStream", "SETUP", media.fec[0], [f"Transport: {self._transport(False, more)}"], status=status)
        if answer.status == 200:
            self.fec = {name.lower(): int(value, 16) for name, value in re.findall(r"(Fec\w+)=([0-9a-fA-F]+)", answer["transport"] or "")}
            check("fecspan" in self.fec and "fecperspan" in self.fec, f"SelectStream of FEC: {answer}")
        return answer

    def udp_packet_pair(self):
        body = b"type: high-entropy-packetpair"
        self.pairs = []
        answer = self.ask("UdpPacketPair", "SET_PARAMETER", self.url, body=body, kind="application/x-rtsp-udp-packetpair;charset=UTF-8")
        check(answer.body in (b"", body), f"UdpPacketPair: {answer.body!r}")
        sizes = (1454, 1455, 1456)
        self.wait(lambda: len(self.pairs) >= 2 and len(self.pairs[-1].raw) == 16 + sizes[-1] or self.patience and len(self.pairs), 5, "the packet pair")
        pairs = self.pairs
        check(self.patience or tuple(len(one.raw) - 16 for one in pairs) in (sizes, sizes[1:]), f"{[len(one.raw) for one in pairs]}")
        for number, one in enumerate(pairs):
            word = struct.unpack_from(">I", one.payload)[0]
            check(word == (0x40000000 | len(one.payload) - 4 | (0x80000000 if number == 0 else 0)) or self.patience, f"{word:08x}")
            check(one.marker and one.type == self.description.rtx.payload_type, f"{one.raw[:16].hex(' ')}")
        check(len({one.payload[4:] for one in pairs}) == len(pairs) and pairs[0].payload[4:] != bytes(len(pairs[0].payload) - 4), "they are not random")

    def play(self, npt=0.0, place=None, headers=(), seek=True, accelerate=None, bandwidth=EVERYTHING, log=True, status=200, speed=None, scale=None,
             kept=None, skip=None):
        """PLAY, and the first time LogConnect right behind it. `place`: another Range than `npt`; `kept`: streams of an announced entry that
        go on, for X-RTP-Info; `skip`: 1 or -1."""
        lines = []
        if skip is not None:
            lines.append(f"X-Playlist: pl-offset={skip}")
        elif kept is None:
            lines.append(f"Range: {place or f'npt={npt:.3f}-'}")
        else:
            urls = [self.tracks[number].url for number in kept] + ([self.description.rtx.url] if self.rtx and self.description.rtx else [])
            lines.append("X-RTP-Info: " + ", ".join(f"url={url}" for url in urls))
        if seek and self.generation:
            lines.append(f"X-Playlist-Seek-Id: {self.generation if seek is True else seek}")
        if bandwidth:
            lines.append(f"Bandwidth: {bandwidth}")
        if accelerate:
            lines.append("X-Accelerate-Streaming: AccelDuration={};AccelBandwidth={}".format(*accelerate))
        if speed:
            lines.append(f"Speed: {speed:.3f}")
        if scale:
            lines.append(f"Scale: {scale:.3f}")
        ticket, data = self.prepare("Play", "PLAY", self.url, [*lines, *headers])
        ticket.done = lambda answer: self._played(answer, accelerate, kept, skip, came) if answer.status == 200 else None
        came = sum(line.received for line in self.lines.values()) if self.transport == "tcp" and self.state == "ready" else None
        connect = None
        if log and not self.logs:
            self.logs += 1
            connect, more = self._prepare_log("LogConnect")
            data += more
        self.send(data)
        answer = self.answered(ticket, status)
        if connect:
            self.answered(connect)
        return answer

    def _played(self, answer, accelerate, kept, skip, came):
        """`came`: packets so far, where none may come before the answer."""
        if answer["x-playlist-change-notice"]:
            check(answer["x-playlist-change-notice"] == "true" and answer["rtp-info"] is None, f"Play: {answer}")
            return
        check(skip is None, f"Play: no X-Playlist-Change-Notice: {answer}")
        if answer["x-accelerate-streaming"]:
            match = re.fullmatch(r"AccelDuration=(\d+);AccelBandwidth=(\d+)", answer["x-accelerate-streaming"])
            check(match and accelerate and int(match[2]) <= accelerate[1], f"Play: {answer}")
        if came is not None and kept is None:
            self.early += sum(line.received for line in self.lines.values()) - came
        if kept is None or answer["rtp-info"]:
            infos = rtp_info(answer["rtp-info"])
            check({self.url_of(url) for url in infos} == {track.url for track in self.tracks.values()}, f"Play: RTP-Info {answer['rtp-info']}")
            for stream, track in self.tracks.items():
                info = next(value for url, value in infos.items() if self.url_of(url) == track.url)
                check("seq" in info and ("rtptime" in info or kept is not None), f"Play: RTP-Info {answer['rtp-info']}")
                line = self.lines[track.ssrc]
                sequence = int(info["seq"])
                if kept is None:
                    if self.state != "playing" or line.next is None:
                        line.next = sequence
                        line.barriers.clear()
                        self._enter(line, len(self.entries) - 1)
                    elif line.received:
                        check(self.transport == "udp" or sequence == line.next, f"Play: goes on with packet {sequence}, not {line.next}")
                    line.cuts.add(sequence)
                    track.first = (sequence, int(info["rtptime"]))
        entry = self.entries[-1]
        if kept is None:
            entry.mark = len(entry.units)
        if kept is None and entry.ended:
            # Once more the same entry.
            entry.ended = None
        self.state = "playing"

    def since_play(self, entry=-1):
        """The packets of the last entry, or another one, that belong to the last Play."""
        starts = {track.ssrc: track.first[0] for track in [*self.old_tracks.values(), *self.tracks.values()] if track.first}
        return [unit for unit in self.entries[entry].units[self.entries[entry].mark:] if behind(unit.sequence, starts.get(unit.line.ssrc, unit.sequence)) >= 0]

    def check_start(self, entry=-1):
        """The first packet of the last Play is the one that RTP-Info named."""
        first = self.since_play(entry)[0]
        track = next(track for track in [*self.tracks.values(), *self.old_tracks.values()] if track.ssrc == first.line.ssrc)
        check((first.sequence, first.timestamp) == track.first, f"RTP-Info says {track.first}, {(first.sequence, first.timestamp)} came first")

    def read_units(self, count, seconds=None):
        """Waits for so many packets of this Play."""
        self.wait(lambda: len(self.since_play()) >= count, seconds or self.seconds, f"{count} packets")
        return self.since_play()

    def read_to_end(self, seconds=None, entry=-1):
        """Waits for EndOfStream, and for what was sent before it."""
        one = self.entries[entry]
        self.wait(lambda: one.ended, seconds or self.seconds, "EndOfStream")
        if self.transport == "udp":
            # What was sent before it may still be under way, or asked for again.
            deadline = time.monotonic() + self.patience + 1
            while time.monotonic() < deadline and not all(line.is_drained for line in self.lines.values() if line.received):
                self.step(0.02)
        return one.ended

    def pause(self, status=200):
        answer = self.ask("Pause", "PAUSE", self.url, status=status)
        if answer.status == 200:
            self.state = "ready"
        return answer

    def seek(self, npt, **more):
        """As the Player does: Pause and the log, pipelined, then Play."""
        ticket, data = self.prepare("Pause", "PAUSE", self.url)
        log, text = self._prepare_log("LogPlay")
        self.send(data + text)
        self.answered(ticket)
        self.state = "ready"
        self.answered(log)
        return self.play(npt, **more)

    def _prepare_log(self, name):
        kind = "application/x-wms-Log" + ("connectstats" if name == "LogConnect" else "playstats") + ";charset=UTF-8"
        text = LOG.format(url=self.url, transport=self.transport.upper())
        if name == "LogConnect":
            text = ("<XML><Summary></Summary><c-dns>-</c-dns><c-ip>0.0.0.0</c-ip><c-os>Windows_XP</c-os><c-osversion>5.1.0.2600</c-osversion>"
                    f"<date>2026-11-22</date><time>00:00:00</time><c-cpu>Pentium</c-cpu><transport>{self.transport.upper()}</transport></XML>")
        return self.prepare(name, "SET_PARAMETER", self.url, body=text.encode(), kind=kind)

    def log_play(self):
        ticket, data = self._prepare_log("LogPlay")
        self.send(data)
        return self.answered(ticket)

    def keep_alive(self, status=200):
        return self.ask("KeepAlive", "GET_PARAMETER", self.url, status=status)

    def send_event(self, body, status=200):
        return self.ask("SendEvent", "SET_PARAMETER", self.url, body=body.encode(), kind="application/x-wms-sendevent", status=status)

    def switch(self, old, new, thin=0, status=200, body=None, slot=None):
        """SET_PARAMETER with SSEntry: stream `old` becomes `new` (or itself, thinned)."""
        url = lambda number: self.description.streams[number].url  # noqa: E731
        text = body or f"SSEntry: {old} {new} {thin} {url(old)} {url(new)}\r\n"
        answer = self.ask("SelectStream", "SET_PARAMETER", slot or self.tracks[old].slot, body=text.encode(), kind="application/x-wms-streamswitch",
                          status=status)
        if answer.status == 200 and old != new:
            track = self.tracks.pop(old)
            track.url = url(new)
            self.tracks[new] = track
        return answer

    def remove(self, stream, status=200):
        """TEARDOWN of one stream."""
        track = self.tracks[stream]
        body = b"" if track.url == track.slot else f"SSEntry: {stream} {NONE} 0 {track.url}\r\n".encode()
        answer = self.ask("SelectStream", "TEARDOWN", track.slot, body=body, kind="application/x-wms-streamswitch" if body else None, status=status)
        if answer.status == 200:
            del self.tracks[stream]
        return answer

    def drop_old(self):
        """TEARDOWN of the streams of the entry before, when an Announce predicted nothing."""
        for track in self.old_tracks.values():
            self.ask("SelectStream", "TEARDOWN", track.slot)
        self.old_tracks = {}

    def teardown(self, status=200):
        answer = self.ask("Teardown", "TEARDOWN", self.url, status=status)
        self.state = "init"
        return answer

    def stats(self):
        """What the lines counted."""
        lines = self.lines.values()
        return {"received": sum(line.received for line in lines), "lost": sum(len(line.lost) for line in lines),
                "rtx": sum(len(line.by_rtx) for line in lines), "fec": sum(len(line.by_fec) for line in lines),
                "repairs": sum(line.repairs for line in lines), "duplicates": sum(line.duplicates for line in lines), "nacked": self.nacked}
