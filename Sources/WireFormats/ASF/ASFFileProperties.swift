/// The File Properties object: what holds for the file as a whole.
///
///     file GUID 16 | file bytes u64 | created u64 | packets u64 | play u64 | send u64 | preroll u64 ms | flags u32 | P u32 | P u32 | bit/s u32
package struct ASFFileProperties: Sendable, Hashable {
    package var fileID: ASFGUID
    /// Meaningless with ``isBroadcast``, as ``packetCount``, ``playDuration`` and ``sendDuration`` are.
    package var fileBytes: UInt64
    /// In 100 ns since 1601.
    package var created: UInt64
    package var packetCount: UInt64
    /// In 100 ns, the preroll included.
    package var playDuration: UInt64
    /// In 100 ns.
    package var sendDuration: UInt64
    /// What a player buffers before it plays; presentation times begin there.
    package var prerollMilliseconds: UInt32
    package var flags: UInt32
    package var packetBytesMin: UInt32
    package var packetBytesMax: UInt32
    /// Bit/s of all streams together.
    package var bitrateMax: UInt32

    /// Whether it is a live stream.
    package var isBroadcast: Bool { flags & 1 != 0 }
    /// Whether a player may seek.
    package var isSeekable: Bool { flags & 2 != 0 }

    /// How long it plays, without the preroll; nil for a live stream, and when the file does not say.
    package var contentMilliseconds: UInt64? {
        guard !isBroadcast, playDuration > 0 else { return nil }
        let play = playDuration / 10_000
        return play >= UInt64(prerollMilliseconds) ? play &- UInt64(prerollMilliseconds) : nil
    }
}

/// The first 50 bytes of the Data Object; packets follow them.
///
///     GUID 16 | size u64 | file GUID 16 | packets u64 | 01 01
package struct ASFDataHead: Sendable, Hashable, BitwiseCopyable {
    /// Bytes of the head.
    package static let byteCount = 50

    /// Bytes of the Data Object with its packets; 0 or 50 where nobody knew, when it was written.
    package var byteCount: UInt64
    package var fileID: ASFGUID
    package var packetCount: UInt64
}

/// Title and so on. Texts are empty where nothing is said.
package struct ASFContentDescription: Sendable, Hashable {
    package var title = ""
    package var author = ""
    package var copyright = ""
    package var description = ""
    package var rating = ""
}

/// Streams that exclude each other: a player takes those of one alternative.
package struct ASFMutualExclusion: Sendable, Hashable {
    /// What they differ in: ``ASFGUID/mutexBitrate``, ``ASFGUID/mutexLanguage`` or ``ASFGUID/mutexUnknown``, or something else.
    package var kind: ASFGUID
    package var alternatives: [ASFStreamSet]
}

/// What is to happen at a time: `URL`, `FILENAME`, `CAPTION`, …
package struct ASFScriptCommand: Sendable, Hashable {
    package var milliseconds: UInt32
    package var type: String
    package var text: String
}
