import WireFormats

/// What the server must know of content in order to describe and play it.
package struct WMSPContent: Sendable, Equatable {
    /// What can be done with it, as a client of version 9 may know it.
    package var features: WMSPFeatures
    /// The header as clients of version 9 get it.
    package var header: ASFHeader
    /// The header as older ones get it: a Data Object that says that it has no packets, and short, where that can be had.
    package var legacyHeader: ASFHeader
    /// What stands behind `no-cache` in `Cache-Control`; empty for nothing.
    package var cacheControl = ""
    /// The whole of `Cache-Control` over RTSP, where what came from another server says it in its own words; nil: made of ``cacheControl``.
    package var rtspCacheControl: String?
    /// As `Last-Modified` has it.
    package var lastModified: String?
    /// As `Etag` has it, quotes and all.
    package var etag: String?
    /// Names the entry of a playlist, and what it became after a change of header: never 0, another one for each.
    package var playlistGenID: UInt32
    /// Names the live source; 0 for what is not live.
    package var broadcastID: UInt32 = 0
    /// `X-StartupProfile`, made for the Play that wants it.
    package var startupProfile: String?
    /// How much of the past is at hand for a fast start; nil: all that could be asked for.
    package var fastStartMillisecondsMax: UInt32?
    /// What is told of the content in `$M`; a list for each language.
    package var descriptions = [ContentDescription(language: "", [])]
    /// It comes straight out of an encoder: the server calls itself one.
    package var isEncoder = false
    /// The entry that a Play with `pl-offset` asked to go on to: this one's header is sent, then at once the change to that. One, or none.
    package var skipsTo: [WMSPContent] = []

    /// Content with this header, for legacy clients made from it.
    package init(features: WMSPFeatures, header: ASFHeader, playlistGenID: UInt32 = 1) {
        self.features = features
        self.header = header
        self.playlistGenID = playlistGenID
        let short = try? header.rewritten(ASFRewrite(declaresNoData: true, bytesMax: ASFRewrite.legacyBytesMax))
        legacyHeader = short ?? (try? header.rewritten(ASFRewrite(declaresNoData: true))) ?? header
    }

    /// The header that a client gets.
    package func header(for dialect: WMSPDialect) -> ASFHeader { dialect.wantsEmptyDataObject ? legacyHeader : header }

    /// `[$M] $H` for a client.
    func opening(for dialect: WMSPDialect, incarnation: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        if dialect.takesMetadata, !isEncoder {
            let metadata = WMSPMetadata(
                playlistGenID: playlistGenID, broadcastID: broadcastID, features: features(for: dialect), descriptions: descriptions)
            bytes += WMSPFraming.metadata(metadata.serialized(), incarnation: incarnation)
        }
        return bytes + WMSPFraming.header(header(for: dialect).bytes, incarnation: incarnation)
    }

    /// The features that a client may be told of ([MS-WMSP] 2.2.1.4.5): older ones know no skipping, and see a playlist as a broadcast.
    func features(for dialect: WMSPDialect) -> WMSPFeatures {
        guard !dialect.takesSkips else { return features }
        var features = features.subtracting([.skipForward, .skipBackward])
        if features.contains(.playlist) {
            features.insert(.broadcast)
            features.subtract([.seekable, .stridable])
        }
        // VLC looks for one of both first, libmms for the other.
        if features.contains(.broadcast) { features.remove(.seekable) }
        return features
    }
}

/// Which streams a client is sent, and how much of them. All others are off.
package struct WMSPSelection: Sendable, Hashable {
    /// Sent as they are.
    package var whole: ASFStreamSet
    /// Sent in key frames alone.
    package var keyFramesOnly: ASFStreamSet

    /// A selection.
    package init(whole: ASFStreamSet = [], keyFramesOnly: ASFStreamSet = []) {
        self.whole = whole
        self.keyFramesOnly = keyFramesOnly
    }

    /// All that are sent.
    package var streams: ASFStreamSet { whole.union(keyFramesOnly) }

    /// Changes it as a list says. Streams that `known` does not have are left out.
    mutating func apply(_ entries: [StreamSwitchEntry], known: ASFStreamSet) {
        for entry in entries {
            if let source = entry.source.flatMap(UInt8.init(exactly:)), entry.source != entry.destination {
                whole.remove(source)
                keyFramesOnly.remove(source)
            }
            guard let stream = entry.destination.flatMap(UInt8.init(exactly:)), known.contains(stream) else { continue }
            whole.remove(stream)
            keyFramesOnly.remove(stream)
            switch entry.thinning {
            case .full: whole.insert(stream)
            case .keyFrames: keyFramesOnly.insert(stream)
            case .off: break
            }
        }
    }

    /// What suits a client of another entry that had this of `old`.
    func predicted(from old: ASFHeader, to new: ASFHeader, linkBitsPerSecond: UInt32? = nil) -> WMSPSelection {
        StreamPrediction(selection: self, of: old, linkBitsPerSecond: linkBitsPerSecond).selection(of: new)
    }
}

/// Where a Play begins ([MS-WMSP] 3.2.5.6).
package enum WMSPPosition: Sendable, Hashable {
    /// At the beginning; live: now.
    case beginning
    /// At the key frame at or before that time, without the preroll.
    case time(milliseconds: UInt32)
    /// At that packet, the first being 0.
    case packet(UInt64)

    /// What the tokens of a request say: the time if it is neither 0 nor the number that says that it does not count, else the packet, else
    /// the offset.
    package init(_ pragma: PragmaList, dialect: WMSPDialect, header: ASFHeader) {
        let time = pragma.number("stream-time") ?? 0
        if time != 0, time != .max {
            self = .time(milliseconds: time)
        } else if let packet = pragma.number("packet-num"), packet != .max {
            self = packet == 0 ? .beginning : .packet(UInt64(packet))
        } else if let offset = pragma.pair("stream-offset"), offset != .max, offset != 0 {
            self = Self.packet(at: offset, headerBytes: header.bytes.count, packetBytes: header.packetBytes, dialect: dialect)
        } else {
            self = .beginning
        }
    }

    /// Offsets count from the file's beginning (libmms), or from the first packet (VLC): whichever meets the border of a packet. Where both do
    /// it is the former, unless the client is VLC; where neither does, the packet in which it lies.
    static func packet(at offset: UInt64, headerBytes: Int, packetBytes: Int, dialect: WMSPDialect) -> WMSPPosition {
        guard packetBytes > 0, headerBytes >= 0 else { return .beginning }
        let size = UInt64(packetBytes), head = UInt64(headerBytes)
        let absolute = offset >= head ? offset - head : nil
        let isAbsolute = absolute.map { $0 % size == 0 } ?? false
        let isRelative = offset % size == 0
        let from: UInt64 =
            if isRelative, !isAbsolute || dialect.countsOffsetsFromData {
                offset
            } else {
                absolute ?? (dialect.countsOffsetsFromData ? offset : 0)
            }
        return from / size == 0 ? .beginning : .packet(from / size)
    }
}
