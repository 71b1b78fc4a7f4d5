"""Both sides of a proxy of Windows Media, by HTTP and by RTSP, behind the same few words: an origin and players by script, so that one
sequence of messages can be gone through in either language."""
import re

from .msrtsporigin import Origin as RTSPOrigin
from .msrtsporigin import Programme
from .msrtsp import parts
from .asffile import Packet
from .msrtspplayer import Player as RTSPPlayer
from .proxiedorigin import ALL_EVENTS, LOG_EVENTS, Content, Event, ProxiedOrigin
from .registry import check
from .wmplayer import Player as HTTPPlayer

FAST = ["LinkBW=2147483647, AccelBW=50000000, AccelDuration=30000"]
DIALECTS = ["rtsp", "wmsp"]
SPLIT = 'max-age=0, x-wms-stream-type="broadcast", must-revalidate, x-wms-proxy-split' + LOG_EVENTS
SINGLE = 'max-age=0, x-wms-stream-type="broadcast", must-revalidate' + LOG_EVENTS
FILE = "x-wms-content-size={size}, max-age=86399, must-revalidate, proxy-revalidate" + ALL_EVENTS
# What makes the same in the other language.
PUBLIC = {"wmsp": ", user-public, proxy-public", "rtsp": ""}
KINDS = {"application/x-wms-getcontentinfo": "GetContentInfo", "application/x-wms-sendevent": "SendEvent",
         "application/x-wms-logconnectstats": "LogConnect", "application/x-wms-logplaystats": "LogPlay",
         "application/x-rtsp-packetpair": "PacketPair", "application/x-wms-streamswitch": "SelectStream"}
METHODS = {"DESCRIBE": "Describe", "SETUP": "SelectStream", "PLAY": "Play", "TEARDOWN": "Teardown", "PAUSE": "Pause", "OPTIONS": "Options",
           "GET_PARAMETER": "KeepAlive", "SET_PARAMETER": "KeepAlive"}
SUMMARY = ("0.0.0.0 2026-11-22 00:00:00 - {url} 0 5 1 200 {{3300AD50-2C39-46C0-AE0A-C4D98694D7B4}} 9.0.0.2980 en-US WMFSDK/9.0.0.2980 - "
           "wmplayer.exe 9.0.0.2980 Windows_XP 5.1.0.2600 Pentium 5 500000 700000 http TCP WMA WMV - - 500000 - 160 0 0 0 0 0 0 1 0 100 "
           "- - - - {url} - -")


def legacy_log(url):
    return f"<XML><Summary>{SUMMARY.format(url=url)}</Summary><c-ip>0.0.0.0</c-ip><cs-url>{url}</cs-url><Shop><cart>5</cart></Shop></XML>"


class HTTPSide:
    """An origin by HTTP with one content under /vod/a."""
    name = "wmsp"

    def __init__(self, context, programme, control, live=False, **options):
        self.context = context
        self.content = Content(programme, control, live=live, **options)
        self.origin = context.closing(ProxiedOrigin({"/vod/a": self.content}))

    def come_back(self):
        """Once it was closed: the same at the same port, without a memory of what it was asked."""
        self.origin = self.context.closing(ProxiedOrigin({"/vod/a": self.content}, port=self.origin.port))

    def url(self):
        return self.origin.url("/vod/a")

    def said(self):
        """Logical names of the requests so far, in order."""
        return [one.name for one in list(self.origin.requests)]

    def plays(self):
        return len(self.origin.plays)

    def events(self):
        return [(one.event, one) for one in self.origin.asked("SendEvent")]

    def player_named(self, agent):
        """Whether the origin was told whose requests they were."""
        for one in self.origin.asked("GetContentInfo") + self.origin.asked("Describe"):
            said, verb = one.tokens.get("proxy-client-agent", "").strip('"'), one.headers.get("x-proxy-client-verb")
            check((said, verb) == (agent, "GET"), f"{one}: proxy-client-agent={said}, X-Proxy-Client-Verb: {verb}")

    def replace(self, programme, etag):
        self.content = self.origin.contents["/vod/a"] = Content(programme, self.control_text, etag=etag)

    @property
    def control_text(self):
        return self.content.control.removeprefix("no-cache, ")

    @property
    def faults(self):
        return self.origin.faults


class RTSPSide:
    """An origin by RTSP."""
    name = "rtsp"

    def __init__(self, context, programme, control, live=False, **options):
        self.context, self.options = context, {"broadcast": live, "pace": 1.0 if live else 50.0, **options}
        size = len(programme.header.raw) + sum(map(len, programme.packets))
        self.origin = context.closing(RTSPOrigin([programme], **self.options))
        self.origin.cache_control = control.format(size=size)
        self.origin.validators = ('Etag: "first"', "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT")

    def come_back(self):
        """Once it was closed: the same at the same port, without a memory of what it was asked."""
        before = self.origin
        self.origin = self.context.closing(RTSPOrigin(before.entries, port=before.port, **self.options))
        self.origin.cache_control, self.origin.validators = before.cache_control, before.validators

    def url(self):
        return self.origin.url("vod/a", scheme="rtspt")

    def _asked(self):
        return [one for one in list(self.origin.requests) if (one["user-agent"] or "").startswith("WM")]

    def said(self):
        return [KINDS.get(one.kind) or METHODS[one.method] for one in self._asked()]

    def plays(self):
        return self.said().count("Play")

    def events(self):
        return [(Event(one.body.decode()), one) for one in self._asked() if one.kind == "application/x-wms-sendevent"]

    def player_named(self, agent):
        for one in self._asked():
            check(re.match(r"RTSP/1\.0 weir-[0-9a-f]{16}( |$)", one["via"] or "") or one.kind.startswith("application/x-wms-log"), f"Via: {one}")
            if one.method == "DESCRIBE" or one.kind == "application/x-wms-getcontentinfo":
                check(one["x-proxy-client-agent"] == agent and one["x-proxy-client-verb"] == "DESCRIBE" and one["max-forwards"], f"{one}")
                check(one.kind == "" or one.body == b"\0", f"GetContentInfo with {one.body!r}")
        agents = {one["user-agent"].split("/")[0] for one in self._asked()}
        check(agents <= {"WMCacheProxy", "WMServer"}, f"User-Agent: {agents}")

    def replace(self, programme, etag):
        self.origin.entries = [programme]
        self.origin.validators = (f"Etag: {etag}", "Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT")

    @property
    def control_text(self):
        return self.origin.cache_control

    @property
    def faults(self):
        return self.origin.faults


class HTTPWatcher:
    """A player by HTTP."""

    def __init__(self, context, weir, path="/a"):
        self.url = f"http://{weir.host}:{weir.port}{path}"
        self.player = context.closing(HTTPPlayer(weir.host, weir.port, path))
        self.agent = self.player.agent

    def describe(self):
        """The answer's Cache-Control without the leading no-cache, and its Etag."""
        self.described = self.player.describe()
        headers = self.described.answer.headers
        return headers["cache-control"].removeprefix("no-cache").removeprefix(", "), headers.get("etag")

    @property
    def header(self):
        return self.described.header

    def set_up(self):
        """By HTTP the streams are selected as they are played."""

    def play(self, seconds=0.0):
        self.player.play(time_=int(seconds * 1000), more=FAST)

    def read(self, count):
        self.player.read(until=lambda event: event.kind == "D" and len(self.player.entries[-1].packets) >= count)

    def read_to_end(self):
        self.player.read()
        check(self.player.entries[-1].ended == 0, f"$E({self.player.entries[-1].ended})")

    @property
    def packets(self):
        """(number, ASF packet) of the last Play."""
        return [(one.location, one.asf) for one in self.player.entries[-1].packets]

    def log(self):
        self.player.log(body=legacy_log(self.url))

    def leave(self):
        self.player.stop()


class RTSPWatcher:
    """A player by RTSP over TCP."""

    def __init__(self, context, weir, path="/a"):
        self.player = context.closing(RTSPPlayer(weir.host, weir.port, path))
        self.agent = self.player.agent

    def describe(self):
        answer = self.player.describe()
        return answer["cache-control"], answer["etag"]

    @property
    def header(self):
        return self.player.header

    def set_up(self):
        self.player.set_up()

    def play(self, seconds=0.0):
        self.player.play(seconds, accelerate=(30000, 50_000_000))

    def read(self, count):
        self.player.read_units(count)

    def read_to_end(self):
        self.player.read_to_end()

    @property
    def packets(self):
        return [(one.location, one.asf) for one in self.player.since_play()]

    def log(self):
        self.player.log_play()

    def leave(self):
        self.player.teardown()


SIDES = {"wmsp": (HTTPSide, HTTPWatcher), "rtsp": (RTSPSide, RTSPWatcher)}


def whole(packets, programme, first=0):
    """Every packet of a file from `first` on, payload by payload, under its number."""
    check([number for number, _ in packets] == list(range(first, len(programme.packets))),
          lambda: f"packets {[number for number, _ in packets][:4]}… ({len(packets)}) of {len(programme.packets)}, from {first} on")
    for number, packet in packets:
        check(parts(packet) == parts(Packet(programme.packets[number], programme.header)), f"packet {number} is not the file's")


def directives(text, origins=""):
    """What a Cache-Control says, whatever the order. Of the max-age of the origin's one second may have gone when Weir tells what is left."""
    said = re.findall(r'[a-z-]+(?:="[^"]*"|=\d+)?', text or "")
    age = re.search(r"max-age=([1-9]\d*)", origins)
    left = f"max-age={int(age[1]) - 1}" if age else None
    return sorted(age[0] if one == left else one for one in said)


__all__ = ["DIALECTS", "FILE", "PUBLIC", "SIDES", "SINGLE", "SPLIT", "Programme", "directives", "legacy_log", "whole"]
