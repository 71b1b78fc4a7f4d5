"""What a running Weir tells of itself: weir status, weir top, and the control socket."""
import json
import os
import pty
import select
import signal
import socket
import stat
import struct
import subprocess
import termios
import time
import fcntl

from harness.players import start_ffmpeg, start_publisher
from harness.clip import dense_clip
from harness.process import free_port, wait_until
from harness.registry import check, test

CONFIG = """paths:
  live:
    source: publish
    source-wait: 15s
  dead:
    source: rtsp://127.0.0.1:{dead}/nothing
    dial: always
"""


def status(context, *arguments, code=0):
    """weir status --json of this test's relay."""
    got, out, err = context.run_weir("status", "--json", *arguments, name="status")
    check(got == code, f"weir status {' '.join(arguments)} ended with code {got}, not {code}: {err[:300]}")
    return json.loads(out) if code == 0 else err


def pictures_cut(context, deaths):
    """In how many pictures a source died that died so often. Each is shown as far as it came, and one number behind it is left out, so that nobody takes
    the next picture for the rest of it."""
    cut = status(context)["paths"][0]["frames_cut"]
    check(cut <= deaths, f"{deaths} deaths cut {cut} pictures")
    return cut


def readers_by_way(overview):
    return {reader["transport"]: reader for reader in overview["readers"]["shown"]}


@test(seconds_max=60)
def status_tells_what_goes_on(context):
    """ffmpeg publishes, ffmpeg reads over UDP and over TCP, a source is dead: weir status names them all, and a reader that is stopped shows its lag."""
    weir = context.weir("serve", config=CONFIG.format(dead=free_port()))
    start_publisher(context, dense_clip(context.cache), weir.url("live"), "tcp")
    players = {way: start_ffmpeg(context, weir.url("live"), way, "-f", "null", "-", name=f"player-{way}") for way in ("udp", "tcp")}

    def both():
        found = readers_by_way(status(context))
        return found if len(found) == 2 and all(reader.get("packets_sent", 0) > 200 for reader in found.values()) else None
    before = wait_until(both, 20, "both readers play")
    for way, reader in before.items():
        check(reader["path"] == "live" and reader["state"] == "playing", f"{way}: {reader}")
        check(reader.get("user_agent", "").startswith("Lavf"), f"{way}: its name is {reader.get('user_agent')!r}")
        check(reader["address"].startswith("127.0.0.1:"), f"{way}: {reader['address']}")
    # It began with a key frame that was up to a second old.
    wait_until(lambda: (lambda reader: reader["lag_milliseconds"] < 1000 and not reader["is_blocked"])(readers_by_way(status(context))["tcp"]), 10,
               "the reader over TCP to be at what is new")
    # Receiver reports: ffmpeg sends its first some seconds after it began. (Its very first, which opens firewalls, says nothing.)
    reported = wait_until(lambda: (lambda found: found if "loss_percent" in found["udp"] else None)(readers_by_way(status(context))), 20,
                          "a receiver report")["udp"]
    check(reported["loss_percent"] == 0 and reported["packets_lost"] == 0, f"udp: {reported}")
    # One look may fall into a moment in which nothing ran.
    wait_until(lambda: (lambda reader: 0 <= reader["jitter_milliseconds"] < 500 and 0 <= reader["lag_milliseconds"] < 500)(
        readers_by_way(status(context))["udp"]), 20, "the reader over UDP to be at what is new, without jitter")
    # What a report of ours waits in ffmpeg's socket counts, so not each need be short.
    trip = wait_until(lambda: [trip for trip in [readers_by_way(status(context))["udp"].get("round_trip_milliseconds")]
                               if trip is not None and trip < 250], 20, "a round trip of less than 250 ms over loopback")[0]

    def with_rates():
        overview = status(context)
        return overview if overview["paths"][1]["bits_received_per_second"] > 0 else None
    overview = wait_until(with_rates, 5, "a bit rate")
    paths = {path["name"]: path for path in overview["paths"]}
    check(paths["live"]["state"] == "playing" and paths["live"]["readers"] == 2, f"{paths['live']}")
    check(paths["live"]["tracks"][0]["codec"] == "H.264", f"{paths['live']}")
    dead = paths["dead"]
    check(dead["state"] == "failed" and "refused" in dead["last_error"]["words"].lower(), f"{dead}")
    check(dead["last_error"]["since_seconds"] > 0 and dead["last_error"]["ever"] > 0 and dead.get("next_try_seconds", 0) >= 0, f"{dead}")
    check([(publisher["path"], publisher["state"]) for publisher in overview["publishers"]] == [("live", "recording")],
          f"{overview['publishers']}")
    check(overview["totals"]["readers_playing"] == 2 and overview["engine"]["backend_reason"], f"{overview['totals']}")
    limits = {limit["name"]: limit for limit in overview["limits"]}
    check(limits["sessions"]["used"] == 3 and limits["sessions"]["max"] > 3, f"{limits}")

    # A reader over TCP that stops: what it has grows old, second by second.
    os.kill(players["tcp"].pid, signal.SIGSTOP)
    lag = wait_until(lambda: (lambda reader: reader if reader and reader["lag_milliseconds"] > 2000 else None)(
        readers_by_way(status(context)).get("tcp")), 9.5, "a lag of 2 s")
    check(lag["queued_bytes"] > 0, f"{lag}")
    worst = status(context, "--readers", "1")["readers"]
    check(worst["count"] == 2 and [reader["transport"] for reader in worst["shown"]] == ["tcp"] and worst["behind"] == 1, f"{worst}")
    wait_until(lambda: readers_by_way(status(context))["udp"]["lag_milliseconds"] < 1000, 2, "the other reader not to be behind, too")
    code, out, _ = context.run_weir("status", name="table")
    check(code == 0 and "1 behind" in out and "dead" in out and "! " in out, f"{out[:400]}")
    os.kill(players["tcp"].pid, signal.SIGCONT)
    wait_until(lambda: (lambda reader: reader and reader["lag_milliseconds"] < 1000)(readers_by_way(status(context)).get("tcp")), 10,
               "the reader is up to date again")
    print(f"note: stopped reader: {lag['lag_milliseconds']:.0f} ms behind, {lag['queued_bytes']} bytes queued; round trip {trip} ms")


@test(seconds_max=40)
def the_control_socket_is_safe(context):
    """Owner only, named after the port, gone at the end; left by a killed relay it is replaced, of a living one it is not; wrong requests are refused."""
    environment = context.runtime
    check("no relay" in status(context, code=69), "weir status without a relay does not say so")
    weir = context.weir("demo")
    path = os.path.join(environment["XDG_RUNTIME_DIR"], "weir", f"{weir.port}.sock")
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600 and stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700, "modes")
    check(status(context)["program"]["process"] == weir.pid, "another relay answered")

    def ask(line):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(path)
            peer.sendall(line)
            heard = b""
            while not heard.endswith(b"\n"):
                part = peer.recv(65536)
                if not part:
                    break
                heard += part
            return json.loads(heard)
    check(ask(b"weir/1 status readers=0\n")["status"]["readers"]["shown"] == [], "readers=0")
    for line, code in ((b"GET / HTTP/1.1\r\n", "version"), (b"weir/9 status\n", "version"), (b"weir/1 dance\n", "command"),
                       (b"weir/1 status readers=-1\n", "argument"), (b"weir/1 status volume=11\n", "argument"),
                       (b"weir/1 status path=nowhere\n", "argument"), (b"\xff\xfe\x00\n", "version"), (b"x" * 50_000, "request_too_long")):
        answer = ask(line)
        check(answer["error"]["code"] == code and answer["error"]["message"], f"{line[:40]}: {answer}")
    check("nowhere" in status(context, "--path", "nowhere", code=1), "an unknown path")

    # Several relays: one must be named.
    other = context.weir("demo")
    err = status(context, code=64)
    check(str(weir.port) in err and str(other.port) in err, err)
    check(status(context, str(other.port))["program"]["process"] == other.pid, "the wrong relay answered")
    check(str(weir.port) in status(context, "1", code=69), "which ports there are is not said")

    # The same socket twice.
    code, _, err = context.run_weir("demo", "--listen", f"127.0.0.1:{free_port()}", "--control", path, name="second")
    check(code == 1 and "another relay answers" in err, f"code {code}: {err[:300]}")

    other.process.kill()
    check(status(context)["program"]["process"] == weir.pid, "a dead relay's socket is in the way")
    dead = os.path.join(os.path.dirname(path), f"{other.port}.sock")
    check(os.path.exists(dead), "a killed relay cannot have removed its socket")
    check("gone" in status(context, "--control", dead, code=69), "a dead socket is not told")
    again = context.weir("demo", port=other.port)
    check(status(context, str(again.port))["program"]["process"] == again.pid, "the dead relay's socket was not replaced")
    for relay, file in ((weir, path), (again, dead)):
        check(relay.process.stop() == 0, "a relay did not end well")
        check(not os.path.exists(file), f"{file} is left")


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, context, *arguments, environment, rows=30, columns=110):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        variables = dict(os.environ, **environment)
        self.child = subprocess.Popen([context.weir_path, *arguments], stdin=slave, stdout=slave, stderr=slave, env=variables,
                                      start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.shown = b""

    def text(self):
        return self.shown.decode(errors="replace")

    def read(self, seconds, until=lambda text: False):
        """All that was shown so far: after so long, or once that is so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until(self.text()):
            if select.select([self.master], [], [], 0.05)[0]:
                self.shown += os.read(self.master, 65536)
        return self.text()

    def is_restored(self):
        now = termios.tcgetattr(self.slave)
        return now[:4] == self.before[:4] and self.shown.rfind(b"\x1b[?1049l") > self.shown.rfind(b"\x1b[?1049h") >= 0 \
            and self.shown.rfind(b"\x1b[?25h") > self.shown.rfind(b"\x1b[?25l")

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.master)
        os.close(self.slave)


@test(seconds_max=40)
def top_takes_and_gives_back_the_terminal(context):
    """weir top shows the relay live, fits the width, follows a new size; q, SIGINT and the relay's end give the terminal back; without one it shows once."""
    environment = context.runtime
    weir = context.weir("demo")
    player = start_ffmpeg(context, weir.url("demo"), "tcp", "-f", "null", "-")
    for end in ("q", "ctrl-c", "sigterm", "relay"):
        terminal = context.closing(Terminal(context, "top", "--interval", "0.2", environment=environment))
        text = terminal.read(10, lambda text: all(word in text for word in ("READER", "demo", "Lavf")) and text.count("\x1b[H") >= 4)
        check(terminal.child.poll() is None, f"weir top ended at once: {text[-300:]}")
        check("READER" in text and "demo" in text and "Lavf" in text, f"{text[-600:]}")
        check(text.count("\x1b[H") >= 4, "it does not go on")
        screen = text.split("\x1b[H")[-2]
        lines = [line for line in screen.replace("\x1b[K", "").replace("\x1b[7m", "").replace("\x1b[0m", "").replace("\x1b[J", "").split("\r\n")]
        check(len(lines) <= 30 and all(len(line) <= 110 for line in lines), f"{[len(line) for line in lines]}")
        if end == "q":
            fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
            drawn = text.count("\x1b[H")
            # Some may have been drawn already, and one is being drawn.
            text = terminal.read(10, lambda text: text.count("\x1b[H") >= drawn + 6)
            screen = text.split("\x1b[H")[-2]
            lines = screen.replace("\x1b[K", "").replace("\x1b[7m", "").replace("\x1b[0m", "").replace("\x1b[J", "").split("\r\n")
            check(len(lines) <= 12 and all(len(line) <= 60 for line in lines), f"after the new size: {[len(line) for line in lines]}")
            os.write(terminal.master, b"q")
        elif end == "ctrl-c":
            os.write(terminal.master, b"\x03")
        elif end == "sigterm":
            terminal.child.send_signal(signal.SIGTERM)
        else:
            weir.process.stop()
        terminal.read(10, lambda _: terminal.child.poll() is not None)
        code = terminal.child.wait(5)
        terminal.read(0.2)
        check(code == (69 if end == "relay" else 0), f"after {end} it ended with code {code}")
        check(terminal.is_restored(), f"after {end} the terminal is not as before: {terminal.shown[-100:]!r}")
        if end == "sigterm":
            code, out, _ = context.run_weir("top", name="pipe")
            check(code == 0 and "READER" in out and "\x1b" not in out, f"without a terminal: code {code}, {out[:200]!r}")
    player.kill()
