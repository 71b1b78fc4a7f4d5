"""Back ends that nobody can connect to register at a relay, over a connection of their own."""
from harness.clip import demo_hashes, demo_path
from harness.network import cable
from harness.players import check_run, ffmpeg_pictures
from harness.process import wait_until
from harness.registry import check, test

PORT = 8554
FRONT = """users:
  back: {password: secret}
access: {read: any}
register:
  allow: back
  prefix: yard/
"""


@test(seconds_max=60)
def relays_behind_an_address_translator(context):
    """A relay that listens on its own loopback alone registers at another: ffmpeg reads through both, over UDP and TCP, and every picture is the origin's."""
    outside, inside = cable(context)
    front = context.weir("serve", config=FRONT, host=outside.addresses[0], port=PORT, wrapper=outside.wrapper)
    # Nobody in the other namespace reaches 127.0.0.1 of this one.
    proxy = f"rtsp://back:secret@{outside.addresses[0]}:{PORT}/yard/door"
    back = context.weir("relay", demo_path("rtpdump"), "--as", "cam", "--register", proxy, "--log-level", "info",
                        host="127.0.0.1", port=PORT + 1, wrapper=inside.wrapper)
    front.process.wait_for(lambda: "stream begins" in front.log(), 15, "the back end's stream was described")
    for transport in ("tcp", "udp"):
        seen = ffmpeg_pictures(outside.context_inside(), front.url("yard/door"), transport, 100)
        check_run(seen, demo_hashes(context.cache), 100, f"ffmpeg over {transport}")
    check("secret" not in front.log() + back.log(), "a log shows the password")
    back.process.stop(10)
    wait_until(lambda: "its back end deregistered it" in front.log(), 5, "the back end took its path back")
