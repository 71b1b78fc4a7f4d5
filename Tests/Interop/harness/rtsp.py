"""RTSP as bytes: an incremental parser for both directions, and one-shot requests."""
import base64
import dataclasses
import hashlib
import os
import re
import socket
import time


@dataclasses.dataclass
class Frame:
    """An interleaved `$` frame."""
    channel: int
    payload: bytes


@dataclasses.dataclass
class Message:
    """A request or a response. Header names are kept in lower case; repeated ones as a list in `all`."""
    start: str
    headers: dict
    body: bytes
    all: list

    @property
    def status(self):
        return int(self.start.split()[1])

    @property
    def method(self):
        return self.start.split()[0]

    @property
    def url(self):
        return self.start.split()[1]

    def values(self, name):
        return [value for key, value in self.all if key == name]


class Parser:
    """Feed bytes, take Frames and Messages in order."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data
        while True:
            item, used = self._next()
            if used:
                del self.buffer[:used]
            if item is None and not used:
                return
            if item is not None:
                yield item

    def _next(self):
        data = self.buffer
        if not data:
            return None, 0
        if data[0] == 0x24:
            if len(data) < 4:
                return None, 0
            length = data[2] << 8 | data[3]
            if len(data) < 4 + length:
                return None, 0
            return Frame(data[1], bytes(data[4:4 + length])), 4 + length
        if data[0] in b"\r\n\0":
            return None, 1
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None, 0
        lines = bytes(data[:end]).decode("latin-1").split("\r\n")
        pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        headers = dict(reversed(pairs))
        length = int(headers.get("content-length", 0))
        if len(data) < end + 4 + length:
            return None, 0
        return Message(lines[0], headers, bytes(data[end + 4:end + 4 + length]), pairs), end + 4 + length


def connect(address, seconds=5.0):
    connection = socket.create_connection(address, seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def fetch(address, data, seconds=5.0, until_close=False):
    """Sends bytes, returns what comes back within `seconds`: the first complete message, or all until the end."""
    with connect(address, seconds) as connection:
        return exchange(connection, data, seconds, until_close)


def exchange(connection, data, seconds=5.0, until_close=False):
    deadline = time.monotonic() + seconds
    answer = b""
    try:
        connection.sendall(data)
        while time.monotonic() < deadline:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            part = connection.recv(65536)
            if not part:
                break
            answer += part
            if not until_close and any(isinstance(item, Message) for item in Parser().feed(answer)):
                break
    except (TimeoutError, ConnectionError):
        pass
    return answer


def parse_url(url):
    """rtsp://[user:password@]host[:port]/path -> (host, port, path, user, password)"""
    match = re.fullmatch(r"rtsp://(?:([^:@/]*):([^@/]*)@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?(/.*)?", url)
    if not match:
        raise ValueError(f"not an RTSP URL: {url}")
    user, password, host, port, path = match.groups()
    return host.strip("[]"), int(port or 554), path or "/", user, password


def digest_response(algorithm, user, realm, password, method, uri, nonce, parameters):
    """RFC 7616 (and RFC 2617 without qop)."""
    digest = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]
    h = lambda text: digest(text.encode()).hexdigest()  # noqa: E731
    first, second = h(f"{user}:{realm}:{password}"), h(f"{method}:{uri}")
    if parameters.get("qop"):
        return h(f"{first}:{nonce}:{parameters['nc']}:{parameters['cnonce']}:{parameters['qop']}:{second}")
    return h(f"{first}:{nonce}:{second}")


def parse_parameters(text):
    """name=value or name="value", comma separated."""
    return {name.lower(): quoted if quoted else plain
            for name, quoted, plain in re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', text)}


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def new_nonce():
    return os.urandom(12).hex()
