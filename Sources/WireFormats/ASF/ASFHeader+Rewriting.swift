/// How a header is to differ from the one that was read. Objects that are not named keep every byte, those of content encryption above all.
package struct ASFRewrite: Sendable, Hashable {
    /// What a header says about its packets.
    package enum Form: Sendable, Hashable {
        /// What it said.
        case unchanged
        /// That nobody knows how many will come: the broadcast flag, no sizes, no durations, no seeking.
        case live
        /// That so many will come; durations in 100 ns, that of playing with the preroll.
        case file(packets: UInt64, playDuration: UInt64, sendDuration: UInt64, isSeekable: Bool)
    }

    package var form = Form.unchanged
    /// Whether the Data Object says that it has no packets (50 bytes): FFmpeg and players before 9.0 otherwise believe that they can compute
    /// where to seek to.
    package var declaresNoData = false
    /// The streams that stay; nil for all.
    package var streams: ASFStreamSet?
    /// Bytes that the result may have, the Data Object's 50 included; nil for any number. Padding goes first, then what players can do without:
    /// metadata, markers, pictures, index parameters, commands at last. libmms takes ``legacyBytesMax``.
    package var bytesMax: Int?

    /// What players of the time before 9.0, and libmms, take.
    package static let legacyBytesMax = 16 << 10

    /// No change but that padding goes.
    package init(form: Form = .unchanged, declaresNoData: Bool = false, streams: ASFStreamSet? = nil, bytesMax: Int? = nil) {
        self.form = form
        self.declaresNoData = declaresNoData
        self.streams = streams
        self.bytesMax = bytesMax
    }

    /// What goes when a header is too long, in this order.
    static let dispensable: [[ASFGUID]] = [
        [.metadataLibrary], [.marker], [.indexParameters, .mediaObjectIndexParameters, .timecodeIndexParameters],
        [.extendedContentDescription], [.contentBranding], [.metadata], [.codecList], [.contentDescription], [.scriptCommand],
    ]
}

extension ASFHeader {
    /// A header that differs as told. Throws when no stream is left, and when it cannot be made as small as asked for.
    package func rewritten(_ rewrite: ASFRewrite) throws(ASFHeaderError) -> ASFHeader {
        var dropped: Set<ASFGUID> = [.padding]
        var result = assembled(rewrite, dropping: dropped)
        if let bytesMax = rewrite.bytesMax {
            for kinds in ASFRewrite.dispensable where result.count > bytesMax {
                dropped.formUnion(kinds)
                result = assembled(rewrite, dropping: dropped)
            }
            guard result.count <= bytesMax else { throw .cannotFit(bytes: result.count, bytesMax: bytesMax) }
        }
        return try ASFHeader(result.span, bytesMax: Int.max - ASFDataHead.byteCount)
    }

    private func assembled(_ rewrite: ASFRewrite, dropping: Set<ASFGUID>) -> [UInt8] {
        let source = bytes.span
        var result = [UInt8](source, 0..<30)
        result.reserveCapacity(bytes.count)
        var children: UInt32 = 0
        for object in objects where !object.isInExtension {
            let start = result.count
            if object.guid == .headerExtension {
                result.append(source, object.offset..<(object.offset + 46))
                for child in objects where child.isInExtension && child.offset > object.offset && child.end <= object.end {
                    append(child, rewrite, dropping, to: &result)
                }
                result.storeLittle(UInt64(result.count - start), at: start + 16)
                result.storeLittle(UInt32(truncatingIfNeeded: result.count - start - 46), at: start + 42)
            } else {
                append(object, rewrite, dropping, to: &result)
            }
            if result.count > start { children += 1 }
        }
        result.storeLittle(UInt64(result.count), at: 16)
        result.storeLittle(children, at: 24)
        appendData(rewrite, to: &result)
        return result
    }

    private func append(_ object: ASFObject, _ rewrite: ASFRewrite, _ dropping: Set<ASFGUID>, to result: inout [UInt8]) {
        guard !dropping.contains(object.guid) else { return }
        let start = result.count
        if let streams = rewrite.streams, streams.intersection(streamNumbers) != streamNumbers {
            guard let changed = object.bytes(of: bytes.span, keeping: streams) else { return }
            result += changed
        } else {
            result.append(bytes.span, object.offset..<object.end)
        }
        if object.guid == .fileProperties, result.count - start >= 104 { write(rewrite.form, overFilePropertiesAt: start, of: &result) }
    }

    private func write(_ form: ASFRewrite.Form, overFilePropertiesAt start: Int, of result: inout [UInt8]) {
        let packets: UInt64, play: UInt64, send: UInt64, flags: UInt32
        var fileBytes: UInt64 = 0
        switch form {
        case .unchanged: return
        case .live: (packets, play, send, flags) = (0xFFFF_FFFF, 0, 0, 1)
        case .file(let count, let playDuration, let sendDuration, let isSeekable):
            (packets, play, send, flags) = (count, playDuration, sendDuration, isSeekable ? 2 : 0)
            fileBytes = Self.dataBytes(packets: count, packetBytes: packetBytes) &+ UInt64(bytes.count - ASFDataHead.byteCount)
        }
        result.storeLittle(fileBytes, at: start + 40)
        result.storeLittle(packets, at: start + 56)
        result.storeLittle(play, at: start + 64)
        result.storeLittle(send, at: start + 72)
        result.storeLittle(flags, at: start + 88)
    }

    private func appendData(_ rewrite: ASFRewrite, to result: inout [UInt8]) {
        let start = result.count
        result.append(bytes.span, (bytes.count - ASFDataHead.byteCount)..<bytes.count)
        switch rewrite.form {
        case .unchanged: break
        case .live:
            result.storeLittle(UInt64(ASFDataHead.byteCount), at: start + 16)
            result.storeLittle(UInt64(0), at: start + 40)
        case .file(let packets, _, _, _):
            result.storeLittle(Self.dataBytes(packets: packets, packetBytes: packetBytes), at: start + 16)
            result.storeLittle(packets, at: start + 40)
        }
        if rewrite.declaresNoData { result.storeLittle(UInt64(ASFDataHead.byteCount), at: start + 16) }
    }

    /// Bytes of a Data Object; 0, which means that nobody knows, for more than there can be.
    private static func dataBytes(packets: UInt64, packetBytes: Int) -> UInt64 {
        let (bytes, overflow) = packets.multipliedReportingOverflow(by: UInt64(packetBytes))
        return overflow || bytes > UInt64(Int64.max) ? 0 : bytes + UInt64(ASFDataHead.byteCount)
    }
}

extension ASFObject {
    /// The object without what it says of streams that go; nil when nothing is left of it. Objects that name no streams, and those that are
    /// broken, stay as they are.
    fileprivate func bytes(of source: Span<UInt8>, keeping streams: ASFStreamSet) -> [UInt8]? {
        let whole = [UInt8](source, offset..<end)
        func keeps(_ offset: Int) -> Bool { streams.contains(UInt8(truncatingIfNeeded: whole.span.loadLittle16(offset) & 0x7F)) }
        switch guid {
        case .streamProperties, .extendedStreamProperties: return whole.count < 74 || keeps(72) ? whole : nil
        case .streamBitrateProperties: return Self.list(whole, headBytes: 0, entryBytes: 6, countMin: 1, keeps)
        case .streamPrioritization: return Self.list(whole, headBytes: 0, entryBytes: 4, countMin: 1, keeps)
        case .bitrateMutualExclusion, .advancedMutualExclusion:
            return Self.list(whole, headBytes: 16, entryBytes: 2, countMin: 2, keeps)
        case .bandwidthSharing: return Self.list(whole, headBytes: 24, entryBytes: 2, countMin: 2, keeps)
        case .groupMutualExclusion: return Self.groups(whole, keeps)
        // They name streams, and are good for nothing without the index, which nobody is sent.
        case .indexParameters, .mediaObjectIndexParameters, .timecodeIndexParameters: return nil
        default: return whole
        }
    }

    /// An object of `headBytes`, a count and entries that begin with a stream's number.
    private static func list(
        _ whole: [UInt8], headBytes: Int, entryBytes: Int, countMin: Int, _ keeps: (Int) -> Bool
    ) -> [UInt8]? {
        let first = Self.headBytes + headBytes + 2
        guard whole.count >= first else { return whole }
        let count = Int(whole.span.loadLittle16(first - 2))
        guard count * entryBytes <= whole.count - first else { return whole }
        var result = Array(whole[..<first])
        var kept = 0
        for index in 0..<count where keeps(first + index * entryBytes) {
            result += whole[(first + index * entryBytes)..<(first + (index + 1) * entryBytes)]
            kept += 1
        }
        guard kept >= countMin else { return nil }
        result.storeLittle(UInt16(kept), at: first - 2)
        result.storeLittle(UInt64(result.count), at: 16)
        return result
    }

    private static func groups(_ whole: [UInt8], _ keeps: (Int) -> Bool) -> [UInt8]? {
        guard whole.count >= 42 else { return whole }
        var result = Array(whole[..<42])
        var groups: UInt16 = 0
        var offset = 42
        for _ in 0..<whole.span.loadLittle16(40) {
            guard whole.count - offset >= 2 else { return whole }
            let count = Int(whole.span.loadLittle16(offset))
            offset += 2
            guard count * 2 <= whole.count - offset else { return whole }
            let kept = (0..<count).filter { keeps(offset + 2 * $0) }
            if !kept.isEmpty {
                groups += 1
                result.appendLittle16(UInt16(kept.count))
                for index in kept { result += whole[(offset + 2 * index)..<(offset + 2 * index + 2)] }
            }
            offset += 2 * count
        }
        guard groups >= 2 else { return nil }
        result.storeLittle(groups, at: 40)
        result.storeLittle(UInt64(result.count), at: 16)
        return result
    }
}
