/// The header of an ASF file or stream: a Header Object and the first 50 bytes of the Data Object behind it, which is what a file begins with
/// and what an `$H` packet of WMSP carries. Its objects are kept byte for byte; what is known of them is read.
///
///     GUID 16 | size u64 | children u32 | 01 02 | objects … || Data Object's GUID 16 | size u64 | file GUID 16 | packets u64 | 01 01
package struct ASFHeader: Sendable, Hashable {
    /// Bytes of a header that is taken, unless the caller says otherwise. Pictures in the metadata take hundreds of KiB.
    package static let bytesMaxDefault = 4 << 20
    /// Objects of a header, those of the Header Extension included. Real ones have up to 50.
    package static let objectsMax = 4_096
    /// Script commands that are read; those beyond stay in the object, unread.
    package static let scriptCommandsMax = 4_096
    /// Sizes that packets may have. Below the first no payload fits; more than the last WMSP cannot carry.
    package static let packetBytesMin = 32
    package static let packetBytesMax = 1 << 16

    /// The header's bytes, the Data Object's 50 included: what a player gets as it is. In a file the first packet begins at their end.
    package let bytes: [UInt8]
    /// Every object of the header and of its extension, in order.
    package internal(set) var objects: [ASFObject] = []
    package internal(set) var file: ASFFileProperties
    /// The streams in the order in which they stand in the header.
    package internal(set) var streams: [ASFStream] = []
    package internal(set) var contentDescription: ASFContentDescription?
    package internal(set) var mutualExclusions: [ASFMutualExclusion] = []
    package internal(set) var scriptCommands: [ASFScriptCommand] = []
    /// The tags of the Language List (RFC 1766, such as `en-us`), in its order.
    package internal(set) var languages: [String] = []
    /// What the Data Object says of itself.
    package internal(set) var data: ASFDataHead
    /// What is wrong with objects that are not needed; they are kept, and go on as they are.
    package internal(set) var flaws: [ASFHeaderError] = []

    /// Bytes of a packet, P.
    package var packetBytes: Int { Int(file.packetBytesMax) }

    /// The stream of that number.
    package func stream(_ number: UInt8) -> ASFStream? { streams.first { $0.number == number } }

    /// The language of a stream, if the header says one.
    package func language(of stream: ASFStream) -> String? {
        guard let index = stream.extended?.language, Int(index) < languages.count else { return nil }
        return languages[Int(index)].isEmpty ? nil : languages[Int(index)]
    }

    /// The numbers of all streams.
    package var streamNumbers: ASFStreamSet { numbers { _ in true } }

    /// The streams that can be entered at key frames only; see ``ASFStream/hasKeyFrames``.
    package var keyFrameStreams: ASFStreamSet { numbers(\.hasKeyFrames) }

    /// The streams with encrypted payloads.
    package var encryptedStreams: ASFStreamSet { numbers(\.isEncrypted) }

    /// Whether content encryption is described (DRM). Weir hands it on, and never looks inside.
    package var isProtected: Bool {
        streams.contains(where: \.isEncrypted)
            || objects.contains {
                [.contentEncryption, .extendedContentEncryption, .advancedContentEncryption].contains($0.guid)
            }
    }

    /// Bits per second of a selection of streams.
    package func bitrate(of selection: ASFStreamSet) -> UInt64 {
        streams.reduce(0) { selection.contains($1.number) ? $0 &+ $1.bitrate : $0 }
    }

    /// Whether a player that plays `other` can play this without a new header: same streams, same formats, same packets.
    package func continues(_ other: ASFHeader) -> Bool {
        packetBytes == other.packetBytes && file.prerollMilliseconds == other.file.prerollMilliseconds
            && streams.count == other.streams.count
            && streams.allSatisfy { stream in
                other.stream(stream.number).map { stream.isLike($0) } ?? false
            } && !isProtected && !other.isProtected
    }

    /// Which streams of `other` these are, where both have the same ones under other numbers, as VLC's do after a round: by their own number,
    /// the other's. Nil where they are not the same.
    package func renumbering(to other: ASFHeader) -> [UInt8: UInt8]? {
        guard streams.count == other.streams.count, packetBytes == other.packetBytes, !isProtected, !other.isProtected,
            file.prerollMilliseconds == other.file.prerollMilliseconds
        else { return nil }
        var numbers: [UInt8: UInt8] = [:]
        var left = other.streams
        // Of those that are alike each keeps its number, if it can.
        for keepsNumber in [true, false] {
            for stream in streams where numbers[stream.number] == nil {
                let index = left.firstIndex { stream.isLike($0) && (!keepsNumber || $0.number == stream.number) }
                if let index { numbers[stream.number] = left.remove(at: index).number }
            }
        }
        return left.isEmpty ? numbers : nil
    }

    /// How many bytes make a header whole that begins as `prefix` does: 24 until its size is known, then header and Data Object's head.
    /// Throws when these bytes cannot become one, however many follow.
    package static func bytesNeeded(
        _ prefix: Span<UInt8>, bytesMax: Int = bytesMaxDefault
    ) throws(ASFHeaderError) -> Int {
        guard prefix.count >= 16 else { return ASFObject.headBytes }
        let guid = ASFGUID(prefix, at: 0)
        guard guid == .header else { throw .notASF(begins: guid) }
        guard prefix.count >= ASFObject.headBytes else { return ASFObject.headBytes }
        let size = prefix.loadLittle64(16)
        guard size >= 30 else { throw .objectSize(.header, offset: 0, bytes: size, room: bytesMax) }
        guard size <= UInt64(max(bytesMax, 0)) else { throw .tooLong(bytes: size, bytesMax: bytesMax) }
        return Int(size) + ASFDataHead.byteCount
    }

    private func numbers(_ isIncluded: (ASFStream) -> Bool) -> ASFStreamSet {
        var set = ASFStreamSet()
        for stream in streams where isIncluded(stream) { set.insert(stream.number) }
        return set
    }
}
