import CDemoClip

/// The demonstration broadcast that the program carries: H.264 and AAC, 16 s, a running time code, 25 frames/s, a key frame every second.
enum DemoClip {
    /// The clip; throws only if the program was built with a broken one.
    static func load() throws(Clip.Trouble) -> Clip {
        var dumpCount = 0, sdpCount = 0
        let dump = unsafe weir_demo_rtpdump(&dumpCount)
        let sdp = unsafe weir_demo_sdp(&sdpCount)
        return try Clip(
            dump: unsafe Array(UnsafeBufferPointer(start: dump, count: dumpCount)),
            sdp: unsafe Array(UnsafeBufferPointer(start: sdp, count: sdpCount)),
            name: "the demonstration clip")
    }
}
