"""What the interoperability tests stand on: processes, players, an RTSP origin and an RTSP reader of our own."""
