"""The examples with real packets."""
import os
import socket
import subprocess
import time

import frames
from harness import (ROOT, SANITIZER, Failed, Program, TCPReader, UDPReader, collect_until, compare, expect, port_pair, rtp,
                     sender_report)

TESTS = {}
# At most so many packets are on their way: no socket's buffer holds fewer, however late the processor comes to who reads from it.
ON_THEIR_WAY = 64


def test(function):
    TESTS[function.__name__] = function
    return function


def split(library, program, arguments, environment, before=(), packets=2000, seconds=60):
    """Sends packets through the example splitter to two UDP and three TCP readers, one of which pauses; compares every byte."""
    udp = [UDPReader(), UDPReader()]
    server = Program([*before, program, "--rtp", f"127.0.0.1:{port_pair()}", "--tcp", "127.0.0.1:0", *arguments,
                      *[word for reader in udp for word in ("--udp", f"127.0.0.1:{reader.port}")]], {**library.environment, **environment}, seconds)
    try:
        tcp = [TCPReader(int(server.ready["tcp"])) for _ in range(3)]
        readers = [*udp, *tcp]
        # They are in when each has its first packet; those sent until then are not compared.
        source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        to = ("127.0.0.1", int(server.ready["rtp"]))
        warm = 0
        until = time.monotonic() + seconds
        while not all(reader.packets for reader in readers):
            expect(time.monotonic() < until, f"readers got nothing: {[len(reader.packets) for reader in readers]}\n{server.output}")
            source.sendto(rtp(warm), to)
            warm += 1
            collect_until(readers, lambda: False, 0.05)
        # Nor is one of them still on its way to anybody.
        last = rtp(warm - 1)[12:]
        collect_until(readers, lambda: all(reader.packets[-1][12:] == last for reader in readers), seconds)
        expect(all(reader.packets[-1][12:] == last for reader in readers), "the last packet before those that are compared did not reach everybody")
        firsts = [len(reader.packets) for reader in readers]

        sent = []

        def arrived(these):
            """How many of the packets each of these readers has."""
            return min(len(reader.packets) - first for reader, first in zip(readers, firsts) if reader in these)

        whole = [*udp, *tcp[:2]]
        for number in range(warm, warm + packets):
            if number == warm + packets // 2:
                collect_until(readers, lambda: arrived(readers) >= len(sent), seconds)
                source.sendto(sender_report(), (to[0], to[1] + 1))
                tcp[2].connection.sendall(b"pause\n")
                collect_until(readers, lambda: tcp[2].words, seconds)
            sent.append(rtp(number))
            source.sendto(sent[-1], to)
            collect_until(readers, lambda: len(sent) - arrived(whole) < ON_THEIR_WAY, seconds)
            expect(len(sent) - arrived(whole) < ON_THEIR_WAY, f"of {len(sent)} packets a reader has {arrived(whole)}, and no more come")
        collect_until(readers, lambda: arrived(whole) >= packets, seconds)
        for number, (reader, first) in enumerate(zip(readers, firsts)):
            if reader in whole:
                compare(f"reader {number}", reader.packets[first:], sent)
        expect(all(reader.reports for reader in whole), "the sender report did not reach everybody")
        # The one that paused: all before, nothing after, the answer in between; then it goes on.
        half = packets // 2
        compare("the reader that paused", tcp[2].packets[firsts[2 + 2]:], sent[:half])
        expect([word for _, word in tcp[2].words] == [b"OK"], f"answers: {tcp[2].words}")
        tcp[2].connection.sendall(b"play\n")
        collect_until(readers, lambda: len(tcp[2].words) > 1, seconds)
        for number in range(warm + packets, warm + packets + 20):
            source.sendto(rtp(number), to)
            collect_until(readers, lambda: False, 0.01)
        collect_until(readers, lambda: tcp[2].packets[-1][12:] == rtp(warm + packets + 19)[12:], seconds)
        expect(tcp[2].packets[-1][12:] == rtp(warm + packets + 19)[12:], "the reader that paused did not go on")
        # One leaves; the others do not notice.
        tcp[0].connection.close()
        readers.remove(tcp[0])
        source.sendto(rtp(warm + packets + 20), to)
        collect_until(readers, lambda: all(reader.packets[-1][12:] == rtp(warm + packets + 20)[12:] for reader in readers), seconds)
        expect(all(reader.packets[-1][12:] == rtp(warm + packets + 20)[12:] for reader in readers), "a packet after one had left did not arrive")
        output = server.end(seconds)
        expect(f"received={warm + packets + 22} " in output, f"the counters do not say {warm + packets + 22} packets:\n{output}")
        return f"{server.ready['backend']}, {packets} packets × {len(whole)} readers compared"
    finally:
        server.kill()


@test
def splitter_shared(library):
    return split(library, library.make("c-splitter", "splitter", "shared"), ["--workers", "2"], {})


@test
def splitter_archive(library):
    return split(library, library.make("c-splitter", "splitter", "archive"), [], {})


@test
def splitter_epoll(library):
    return split(library, library.make("c-splitter", "splitter", "shared"), ["--backend", "epoll", "--workers", "2"], {})


@test
def splitter_plain(library):
    return split(library, library.make("c-splitter", "splitter", "shared"), ["--backend", "plain"], {})


@test
def splitter_address_sanitizer(library):
    """With the leak check, and without suppressions."""
    flags = "-O1 -g -fsanitize=address,undefined"
    said = []
    for kind in ("shared", "archive"):
        program = library.make("c-splitter", "splitter", kind, flags, flags)
        for backend in ("io_uring", "epoll"):
            said.append(split(library, program, ["--backend", backend], SANITIZER, packets=1000))
    return f"{len(said)} runs clean"


@test
def splitter_valgrind(library):
    """Memory and leaks. On epoll: this valgrind lets no other thread run while one waits in io_uring_enter()."""
    program = library.make("c-splitter", "splitter", "shared")
    checks = ["valgrind", "--quiet", "--error-exitcode=98", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect",
              "--show-leak-kinds=definite,indirect", f"--suppressions={ROOT}/Tests/Embed/valgrind.supp"]
    return split(library, program, ["--backend", "epoll"], {}, checks, packets=300, seconds=120)


def gstreamer(words, **more):
    return subprocess.Popen(["gst-launch-1.0", "-q", *words.split()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, **more)


@test
def gstreamer_to_a_thousand(library):
    """GStreamer's videotestsrc ! x264enc ! rtph264pay ! udpsink, the example fanout, 1,000 UDP readers that compare every byte, and a
    GStreamer receiver; frames of first, last and GStreamer's reader are those that the encoder made."""
    count, frames_wanted = 1000, 150
    first = free_ports(count + 1)
    sinks = library.compile(os.path.join(ROOT, "Tests/Embed/sinks.c"), "sinks", "shared", "-O2")
    fanout = library.make("c-gstreamer", "fanout", "shared")
    made, saved, heard = (os.path.join(library.work, name) for name in ("made.h264", "saved", "heard.h264"))
    readers = subprocess.Popen([sinks, str(first), str(count), saved], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    server = receiver = sender = None
    try:
        expect(readers.stdout.readline().startswith("ready"), "the readers' program did not start")
        receiver = gstreamer(f"-e udpsrc port={first + 2 * count} address=127.0.0.1 buffer-size=4000000 "
                             "caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96 ! rtpjitterbuffer ! "
                             f"rtph264depay ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! filesink location={heard}")
        server = Program([fanout, "--rtp", "0", "--readers", f"127.0.0.1:{first}+{count}", "--reader", f"127.0.0.1:{first + 2 * count}"],
                         library.environment)
        wait_until_bound(first + 2 * count)
        sender = gstreamer(f"videotestsrc is-live=true num-buffers={frames_wanted} pattern=ball ! "
                           "video/x-raw,width=640,height=360,framerate=30/1 ! timeoverlay ! x264enc tune=zerolatency sliced-threads=false bitrate=500 "
                           "key-int-max=30 ! video/x-h264,profile=baseline,stream-format=byte-stream ! tee name=t "
                           f"t. ! queue ! filesink location={made} "
                           "t. ! queue ! rtph264pay pt=96 mtu=1200 ! "
                           f"udpsink host=127.0.0.1 port={server.ready['rtp']}")
        try:
            sender.wait(30)
        except subprocess.TimeoutExpired:
            raise Failed("GStreamer did not end") from None
        expect(sender.returncode == 0, f"GStreamer: {sender.stderr.read()}")
        time.sleep(1)
        receiver.send_signal(2)
        receiver.wait(10)
        output = server.end()
        readers.stdin.close()
        result = readers.stdout.readline().strip()
        readers.wait(10)
        figures = dict(word.split("=") for word in result.split())
        said = dict(word.split("=") for word in output.split("last joined=")[-1].split("\n")[0].split()[1:])
        expect(f"last joined={count + 1} " in output, f"not all joined:\n{output}")
        # From the key frame on; what comes before its first parameter set (an access unit delimiter) is no part of it.
        due = (int(said["last"]) - int(said["first"]) + 1) & 0xFFFF
        expect(int(said["packets_received"]) - due <= 1, f"readers began late: {said}")
        expect(figures["first"] == said["first"], f"readers did not begin where the engine says: {result}; {said}")
        expect(int(figures["fewest"]) == int(figures["most"]) == due, f"not every packet reached everybody: {result}; {due} were due")
        expect(figures["gaps"] == figures["different"] == figures["began_elsewhere"] == "0", f"readers differ: {result}")

        wanted = frames.frame_sums(made)
        expect(len(wanted) == frames_wanted, f"the encoder made {len(wanted)} frames, not {frames_wanted}")
        for number, packets in enumerate(frames.saved_packets(saved)):
            path = os.path.join(library.work, f"reader{number}.h264")
            with open(path, "wb") as file:
                file.write(frames.byte_stream(packets))
            expect(frames.frame_sums(path) == wanted, f"reader {number * (count - 1)} decodes other frames than the encoder made")
        got = frames.frame_sums(heard)
        # GStreamer's parser gives the last frame out with the next one.
        expect(len(got) >= len(wanted) - 1 and got == wanted[:len(got)], f"GStreamer's reader has {len(got)} frames, or other ones")
        return f"{server.ready['backend']}, {due} packets × {count} readers compared, {len(wanted)} equal frames, GStreamer's {len(got)}"
    finally:
        for process in (readers, receiver, sender):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        if server:
            server.kill()


def wait_until_bound(port, seconds=30):
    """Waits until somebody receives at a UDP port: GStreamer may look through its plugins first."""
    until = time.monotonic() + seconds
    while True:
        with open("/proc/net/udp", encoding="ascii") as table:
            if any(line.split()[1].endswith(f":{port:04X}") for line in table if ":" in line.split()[1]):
                return
        expect(time.monotonic() < until, f"nobody receives at port {port} after {seconds} s")
        time.sleep(0.05)


def free_ports(count):
    """The first of so many even ports, none of which is taken now."""
    for first in range(20000, 60000 - 2 * count, 2 * count + 2):
        taken = False
        for port in range(first, first + 2 * count, 2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                try:
                    one.bind(("127.0.0.1", port))
                except OSError:
                    taken = True
                    break
        if not taken:
            return first
    raise Failed("no range of UDP ports is free")
