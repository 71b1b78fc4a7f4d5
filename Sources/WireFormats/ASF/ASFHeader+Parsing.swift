extension ASFHeader {
    /// The header that `bytes` begin with; what follows it is left alone. Objects are found by their sizes, for counts are wrong in real files.
    /// What a relay cannot do without throws: sizes that point outside, File Properties, Stream Properties, the Data Object.
    package init(_ bytes: Span<UInt8>, bytesMax: Int = bytesMaxDefault) throws(ASFHeaderError) {
        let need = try Self.bytesNeeded(bytes, bytesMax: bytesMax)
        guard bytes.count >= need else { throw .tooShort(have: bytes.count, need: need) }
        let header = need - ASFDataHead.byteCount
        let found = ASFGUID(bytes, at: header)
        guard found == .data else { throw .noDataObject(offset: header, found: found) }
        data = ASFDataHead(
            byteCount: bytes.loadLittle64(header + 16), fileID: ASFGUID(bytes, at: header + 24),
            packetCount: bytes.loadLittle64(header + 40))
        let objects = try Self.objects(bytes, end: header)
        guard let properties = objects.first(where: { $0.guid == .fileProperties }) else { throw .noFileProperties }
        file = try ASFFileProperties(bytes, properties)
        self.objects = objects
        self.bytes = [UInt8](bytes, 0..<need)
        for object in objects where object.guid == .streamProperties {
            add(try ASFStream(bytes, object, isHidden: false), object)
        }
        for object in objects where object.guid == .extendedStreamProperties { try readExtended(bytes, object) }
        guard !streams.isEmpty else { throw .noStreams }
        for object in objects {
            do { try readOptional(bytes, object) } catch { flaws.append(error) }
        }
    }

    private static func objects(_ bytes: Span<UInt8>, end: Int) throws(ASFHeaderError) -> [ASFObject] {
        var found: [ASFObject] = []
        var offset = 30
        // Fewer bytes than an object's head are no object: some muxers leave them.
        while end - offset >= ASFObject.headBytes {
            let object = try ASFObject(bytes, at: offset, end: end)
            offset = object.end
            found.append(object)
            guard found.count <= objectsMax else { throw .tooManyObjects(countMax: objectsMax) }
            guard object.guid == .headerExtension else { continue }
            var reader = ASFObjectReader(object)
            try reader.skip(18)
            let count = Int(try reader.u32(bytes))
            guard count <= reader.left else { throw .outside(object.guid, offset: reader.offset, have: reader.left, need: count) }
            var inner = reader.offset
            let innerEnd = inner + count
            while innerEnd - inner >= ASFObject.headBytes {
                var child = try ASFObject(bytes, at: inner, end: innerEnd)
                child.isInExtension = true
                inner = child.end
                found.append(child)
                guard found.count <= objectsMax else { throw .tooManyObjects(countMax: objectsMax) }
            }
        }
        return found
    }

    private mutating func add(_ stream: ASFStream, _ object: ASFObject) {
        if self.stream(stream.number) == nil {
            streams.append(stream)
        } else {
            flaws.append(.duplicateStream(stream.number, offset: object.offset))
        }
    }

    private mutating func readExtended(_ bytes: Span<UInt8>, _ object: ASFObject) throws(ASFHeaderError) {
        let number: UInt8
        let properties: ASFExtendedProperties
        do throws(ASFHeaderError) {
            var reader = ASFObjectReader(object)
            (properties, number) = try ASFExtendedProperties.read(&reader, bytes)
            if reader.left >= ASFObject.headBytes {
                let inner = try ASFObject(bytes, at: reader.offset, end: object.end)
                if inner.guid == .streamProperties {
                    let stream = try ASFStream(bytes, inner, isHidden: true)
                    guard stream.number == number else { throw .hiddenStream(stream.number, offset: inner.offset, extended: number) }
                    add(stream, inner)
                }
            }
        } catch {
            // A stream that is described elsewhere needs them not: it goes on without.
            flaws.append(error)
            return
        }
        for index in streams.indices where streams[index].number == number { streams[index].extended = properties }
    }

    private mutating func readOptional(_ bytes: Span<UInt8>, _ object: ASFObject) throws(ASFHeaderError) {
        var reader = ASFObjectReader(object)
        switch object.guid {
        case .streamBitrateProperties:
            for _ in 0..<(try reader.u16(bytes)) {
                let number = UInt8(truncatingIfNeeded: try reader.u16(bytes) & 0x7F)
                let rate = try reader.u32(bytes)
                for index in streams.indices where streams[index].number == number { streams[index].listedBitrate = rate }
            }
        case .contentDescription:
            var counts: [Int] = []
            for _ in 0..<5 { counts.append(Int(try reader.u16(bytes))) }
            contentDescription = ASFContentDescription(
                title: try reader.text(bytes, byteCount: counts[0]), author: try reader.text(bytes, byteCount: counts[1]),
                copyright: try reader.text(bytes, byteCount: counts[2]), description: try reader.text(bytes, byteCount: counts[3]),
                rating: try reader.text(bytes, byteCount: counts[4]))
        case .bitrateMutualExclusion, .advancedMutualExclusion:
            let kind = try reader.guid(bytes)
            let streams = try Self.streamSet(&reader, bytes)
            mutualExclusions.append(ASFMutualExclusion(kind: kind, alternatives: streams.numbers.map { [$0] }))
        case .groupMutualExclusion:
            let kind = try reader.guid(bytes)
            var groups: [ASFStreamSet] = []
            for _ in 0..<(try reader.u16(bytes)) {
                let group = try Self.streamSet(&reader, bytes)
                // Each stream stands in one group at most, so that there are as many as streams; whatever says otherwise is read no further.
                if !group.isEmpty, groups.count < 127 { groups.append(group) }
            }
            mutualExclusions.append(ASFMutualExclusion(kind: kind, alternatives: groups))
        case .scriptCommand: try readScript(&reader, bytes)
        case .languageList:
            for _ in 0..<(try reader.u16(bytes)) { languages.append(try reader.text(bytes, byteCount: Int(try reader.u8(bytes)))) }
        default: break
        }
    }

    private static func streamSet(
        _ reader: inout ASFObjectReader, _ bytes: Span<UInt8>
    ) throws(ASFHeaderError) -> ASFStreamSet {
        var set = ASFStreamSet()
        for _ in 0..<(try reader.u16(bytes)) { set.insert(UInt8(truncatingIfNeeded: try reader.u16(bytes) & 0x7F)) }
        return set
    }

    private mutating func readScript(_ reader: inout ASFObjectReader, _ bytes: Span<UInt8>) throws(ASFHeaderError) {
        try reader.skip(16)
        let commandCount = try reader.u16(bytes), typeCount = try reader.u16(bytes)
        var types: [String] = []
        for _ in 0..<typeCount {
            let count = Int(try reader.u16(bytes))
            types.append(try reader.text(bytes, byteCount: 2 * count))
        }
        for _ in 0..<commandCount where scriptCommands.count < Self.scriptCommandsMax {
            let time = try reader.u32(bytes), type = Int(try reader.u16(bytes)), count = Int(try reader.u16(bytes))
            let text = try reader.text(bytes, byteCount: 2 * count)
            scriptCommands.append(ASFScriptCommand(milliseconds: time, type: type < types.count ? types[type] : "", text: text))
        }
    }
}

extension ASFFileProperties {
    init(_ bytes: Span<UInt8>, _ object: ASFObject) throws(ASFHeaderError) {
        var reader = ASFObjectReader(object)
        fileID = try reader.guid(bytes)
        fileBytes = try reader.u64(bytes)
        created = try reader.u64(bytes)
        packetCount = try reader.u64(bytes)
        playDuration = try reader.u64(bytes)
        sendDuration = try reader.u64(bytes)
        prerollMilliseconds = UInt32(truncatingIfNeeded: try reader.u64(bytes))
        flags = try reader.u32(bytes)
        packetBytesMin = try reader.u32(bytes)
        packetBytesMax = try reader.u32(bytes)
        bitrateMax = try reader.u32(bytes)
        guard packetBytesMax >= ASFHeader.packetBytesMin, packetBytesMax <= ASFHeader.packetBytesMax else {
            throw .packetBytes(packetBytesMax, offset: object.offset)
        }
    }
}

extension ASFStream {
    init(_ bytes: Span<UInt8>, _ object: ASFObject, isHidden: Bool) throws(ASFHeaderError) {
        var reader = ASFObjectReader(object)
        typeGUID = try reader.guid(bytes)
        kind = Kind(typeGUID)
        errorCorrectionGUID = try reader.guid(bytes)
        timeOffset = try reader.u64(bytes)
        let typeBytes = Int(try reader.u32(bytes)), correctionBytes = Int(try reader.u32(bytes))
        let flags = try reader.u16(bytes)
        try reader.skip(4)
        number = UInt8(truncatingIfNeeded: flags & 0x7F)
        guard number > 0 else { throw .streamNumber(offset: object.offset) }
        isEncrypted = flags & 0x8000 != 0
        typeData = try reader.data(bytes, typeBytes)
        errorCorrectionData = try reader.data(bytes, correctionBytes)
        audio = kind == .audio ? ASFAudioFormat(typeData) : nil
        video = kind == .video ? ASFVideoFormat(typeData) : nil
        self.isHidden = isHidden
    }
}

extension ASFExtendedProperties {
    /// The properties and their stream's number; the reader then stands at a hidden stream's properties, if there are some.
    static func read(
        _ reader: inout ASFObjectReader, _ bytes: Span<UInt8>
    ) throws(ASFHeaderError) -> (ASFExtendedProperties, number: UInt8) {
        let start = try reader.u64(bytes), end = try reader.u64(bytes)
        let rate = try reader.u32(bytes), buffer = try reader.u32(bytes), fullness = try reader.u32(bytes)
        try reader.skip(12)
        let objectBytes = try reader.u32(bytes), flags = try reader.u32(bytes)
        let number = UInt8(truncatingIfNeeded: try reader.u16(bytes) & 0x7F)
        let language = try reader.u16(bytes)
        let duration = try reader.u64(bytes)
        let nameCount = try reader.u16(bytes), systemCount = try reader.u16(bytes)
        for _ in 0..<nameCount {
            try reader.skip(2)
            try reader.skip(Int(try reader.u16(bytes)))
        }
        var systems: [ExtensionSystem] = []
        for _ in 0..<systemCount {
            let guid = try reader.guid(bytes)
            let size = try reader.u16(bytes)
            let infoCount = Int(try reader.u32(bytes))
            systems.append(
                ExtensionSystem(guid: guid, byteCount: size == 0xFFFF ? nil : Int(size), info: try reader.data(bytes, infoCount)))
        }
        let properties = ASFExtendedProperties(
            startMilliseconds: start, endMilliseconds: end, bitrate: rate, bufferMilliseconds: buffer, fullnessMilliseconds: fullness,
            objectBytesMax: objectBytes, flags: flags, language: language, frameDuration: duration, extensionSystems: systems)
        return (properties, number)
    }
}
