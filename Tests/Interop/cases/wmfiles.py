"""ASF files that are not as they should be, served over WMSP all the same; files with content encryption; and players that come and go."""
import json
import os
import random
import socket
import struct
import threading
import time

from harness.process import wait_until
from harness.registry import check, test
from harness.windowsmedia import ASFClip, check_whole, play
from harness.wmorigin import Modern, Origin, Programme

FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
STREAM_PROPERTIES = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
SIMPLE_INDEX = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")
CONTENT_ENCRYPTION = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
EXTENDED_CONTENT_ENCRYPTION = bytes.fromhex("14e68a292226174cb935dae07ee9289c")


def damaged(clip, how):
    """The clip's bytes, with something wrong."""
    with open(clip.path, "rb") as file:
        data = bytearray(file.read())
    end = struct.unpack_from("<Q", data, 16)[0] + 50
    properties = data.index(FILE_PROPERTIES)
    index = data.index(SIMPLE_INDEX)
    if how == "unfinished":  # as of a recorder that could not go back: a broadcast of no packets and no length, without an index
        struct.pack_into("<Q", data, properties + 40, 0)
        struct.pack_into("<QQQ", data, properties + 56, 0, 0, 0)
        struct.pack_into("<I", data, properties + 88, 1)
        struct.pack_into("<Q", data, end - 34, 0)
        struct.pack_into("<Q", data, end - 10, 0)
        return bytes(data[:index])
    if how == "no-index":
        return bytes(data[:index])
    if how == "wrong-index":  # every entry points at the last packet
        count = struct.unpack_from("<I", data, index + 52)[0]
        for number in range(count):
            struct.pack_into("<IH", data, index + 56 + 6 * number, 0xFFFFFF, 1)
        return bytes(data)
    if how == "lying-index":  # it says that it has more entries than there are bytes
        struct.pack_into("<I", data, index + 52, 0xFFFFFFFF)
        return bytes(data)
    if how == "trailing":
        return bytes(data) + random.Random(5).randbytes(5_000)
    raise ValueError(how)


@test(seconds_max=50, how=["unfinished", "no-index", "wrong-index", "lying-index", "trailing"])
def damaged_files_play(context, how):
    """Files without a packet count, with a broken index or none: every picture, and seeks come out at a key frame."""
    clip = ASFClip(context.cache)
    path = context.path("damaged.asf")
    with open(path, "wb") as file:
        file.write(damaged(clip, how))
    weir = context.weir("relay", path, "--as", "a")
    url = f"mmsh://{weir.host}:{weir.port}/a"
    check_whole(play(context, "ffmpeg", url), clip.pictures, "ffmpeg")
    seen = play(context, "libmms", url, start=5)
    first = clip.pictures.index(seen[0])
    # libmms adds the preroll (3.1 s) to the time that it wants.
    check(first % clip.key_every == 0 and 125 <= first <= 203, f"libmms began with picture {first}")
    check_whole(seen, clip.pictures[first:], "libmms")
    weir.check_alive()


@test(seconds_max=30)
def cut_files_play_to_the_cut(context):
    """A file that ends in the middle of a packet is played to the last whole one."""
    clip = ASFClip(context.cache)
    with open(clip.path, "rb") as file:
        data = file.read()
    path = context.path("cut.asf")
    with open(path, "wb") as file:
        file.write(data[:len(data) * 6 // 10])
    weir = context.weir("relay", path, "--as", "a")
    seen = play(context, "ffmpeg", f"mmsh://{weir.host}:{weir.port}/a")
    check(130 <= len(seen) <= 160, f"{len(seen)} pictures came")
    check_whole(seen[:-1], clip.pictures[:len(seen) - 1], "ffmpeg")


def scrambled(packet, dice):
    """A packet whose payloads' bytes are as if encrypted; what stands around them is untouched."""
    out = bytearray(packet)
    sizes = (0, 1, 2, 4)
    at = 1 + (packet[0] & 15) if packet[0] & 0x80 else 0
    lengths, properties = packet[at], packet[at + 1]
    at += 2
    fields = []
    for shift in (5, 1, 3):
        size = sizes[lengths >> shift & 3]
        fields.append(int.from_bytes(packet[at:at + size], "little"))
        at += size
    end = len(packet) - fields[2]
    at += 6
    count, kind = (packet[at] & 63, packet[at] >> 6) if lengths & 1 else (1, 0)
    at += lengths & 1
    for _ in range(count):
        at += 1 + sizes[properties >> 4 & 3] + sizes[properties >> 2 & 3]
        size = sizes[properties & 3]
        at += size + int.from_bytes(packet[at:at + size], "little")
        length = end - at
        if lengths & 1:
            length = int.from_bytes(packet[at:at + sizes[kind]], "little")
            at += sizes[kind]
        out[at:at + length] = dice.randbytes(length)
        at += length
    return bytes(out)


def protected(context, clip):
    """A file with Content Encryption objects, whose streams are marked as encrypted, and whose payloads are."""
    programme = Programme(clip.path)
    dice = random.Random(77)
    header = bytearray(programme.header)
    at = -1
    while (at := header.find(STREAM_PROPERTIES, at + 1)) >= 0:
        header[at + 73] |= 0x80  # the top bit of the flags: encrypted content
    objects = b"".join(guid + struct.pack("<Q", 24 + len(body)) + body for guid, body in (
        (CONTENT_ENCRYPTION, struct.pack("<I", 16) + dice.randbytes(16) + struct.pack("<I", 4) + b"DRM\0" + struct.pack("<I", 7)
         + b"KEYID1\0" + struct.pack("<I", 20) + b"http://licence.test\0"),
        (EXTENDED_CONTENT_ENCRYPTION, struct.pack("<I", 600) + dice.randbytes(600))))
    header[-50:-50] = objects
    struct.pack_into("<Q", header, 16, len(header) - 50)
    struct.pack_into("<I", header, 24, struct.unpack_from("<I", header, 24)[0] + 2)
    packets = [scrambled(packet, dice) for packet in programme.packets]
    path = context.path("protected.asf")
    with open(path, "wb") as file:
        file.write(bytes(header) + b"".join(packets))
    return path, objects, packets


@test(seconds_max=40, way=["on-demand", "broadcast", "pulled"])
def encrypted_bytes_pass_unchanged(context, way):
    """Content Encryption objects and encrypted payloads: every byte as it is in the file, on demand, live, and through a pull."""
    clip = ASFClip(context.cache, seconds=5)
    path, objects, packets = protected(context, clip)
    if way == "pulled":
        far = context.closing(Origin([(Programme(path), None)]))
        config = f"paths:\n  a:\n    source: {far.url()}\n"
    else:
        config = f"paths:\n  a:\n    source: {path}\n    broadcast: {'true' if way == 'broadcast' else 'false'}\n"
    weir = context.weir("serve", config=config)
    player = context.closing(Modern(weir.port, "a", agent="NSPlayer/4.1.0.3856"))
    wait_until(lambda: sum(kind == "D" for kind, _, _ in player.packets) > len(packets) * 3 // 4 or player.is_over, 20, "packets came")
    header = next(payload for kind, _, payload in player.packets if kind == "H")
    check(objects in header, "the Content Encryption objects are not in the header")
    marks = [header[at + 73] for at in range(len(header)) if header.startswith(STREAM_PROPERTIES, at)]
    check(len(marks) == 2 and all(mark & 0x80 for mark in marks), "the streams are not marked as encrypted")
    got = [payload for kind, _, payload in player.packets if kind == "D"]
    first = packets.index(got[0]) if got and got[0] in packets else None
    check(first is not None and (first == 0 or way != "on-demand"), f"the first packet is number {first} of the file")
    same = sum(one == other for one, other in zip(got, packets[first:]))
    check(same == min(len(got), len(packets) - first) > 50, f"{same} of {len(got)} packets are those of the file")


def descriptors(weir):
    return len(os.listdir(f"/proc/{weir.pid}/fd"))


def resident(weir):
    """KiB."""
    with open(f"/proc/{weir.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def visit(port, dice):
    """A player that comes, and goes in its own way."""
    path, agent = dice.choice(["clip", "tv", "far"]), dice.choice(["NSPlayer/4.1.0.3856", "NSPlayer/9.0.0.2980"])
    end = time.monotonic() + dice.random() * 2
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.5) as one:
            if dice.random() < 0.2:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # goes by a reset
            manner = dice.choice(["play", "play", "play", "play", "describe", "half", "silent", "log"])
            head = f"GET /{path} HTTP/1.0\r\nUser-Agent: {agent}\r\n"
            streams = "Pragma: xPlayStrm=1\r\nPragma: stream-switch-count=2\r\nPragma: stream-switch-entry=" + dice.choice(
                ["ffff:1:0 ffff:2:0", "ffff:1:0 ffff:2:2", "ffff:1:2 ffff:2:0", "ffff:1:1 ffff:2:0"]) + "\r\n\r\n"
            if manner == "half":
                one.sendall(head.encode())
                return time.sleep(dice.random())
            one.sendall((head + (streams if manner != "describe" else "\r\n")).encode())
            data = b""
            while time.monotonic() < end:
                if manner == "silent":
                    time.sleep(0.1)
                elif not (got := one.recv(dice.choice([100, 4096, 65536]))):
                    break
                elif len(data) < 4096:
                    data += got
            if manner == "log" and b"client-id=" in data:
                number = data.partition(b"client-id=")[2].partition(b",")[0].decode()
                with socket.create_connection(("127.0.0.1", port), timeout=5) as other:
                    other.sendall((f"POST /{path} HTTP/1.0\r\nUser-Agent: {agent}\r\nPragma: client-id={number}\r\nPragma: log-line=a b c\r\n"
                                   "Content-Length: 0\r\n\r\n").encode())
                    other.recv(4096)
    except OSError:
        pass


@test(seconds_max=60, alone=True)
def players_that_come_and_go_leave_nothing(context):
    """Three times 100 players of files, broadcasts and pulls come and go anyhow: descriptors, readers and memory are as before."""
    clip = ASFClip(context.cache, seconds=5)
    far = context.weir("serve", config=f"paths:\n  tv:\n    source: {clip.path}\n    broadcast: true\n")
    weir = context.weir("serve", config=(
        f"paths:\n  clip:\n    source: {clip.path}\n    linger: 200ms\n  tv:\n    source: {clip.path}\n    broadcast: true\n    linger: 200ms\n"
        f"  far:\n    source: mmsh://{far.host}:{far.port}/tv\n    linger: 200ms\n"))

    def counts():
        code, out, _ = context.run_weir("status", str(weir.port), "--json", name="status")
        now = json.loads(out) if code == 0 else {}
        return descriptors(weir), now["totals"]["readers_playing"] if now else None

    def wave(seed):
        dice = [random.Random(seed * 1_000 + number) for number in range(100)]
        threads = [threading.Thread(target=visit, args=(weir.port, one), daemon=True) for one in dice]
        for number, thread in enumerate(threads):
            thread.start()
            time.sleep(0.015)
        for thread in threads:
            thread.join(15)

    before = counts()
    used = []
    for seed in range(3):
        wave(seed)
        wait_until(lambda: counts() == before, 12, lambda: f"descriptors and readers are {counts()}, before they were {before}")
        used.append(resident(weir))
    check(used[2] - used[1] < 4_096, f"memory grew: {used} KiB after each wave")
    check(not weir.drops(), lambda: f"drops: {weir.drops()}")
    check_whole(play(context, "ffmpeg", f"mmsh://{weir.host}:{weir.port}/clip"), clip.pictures, "ffmpeg")
