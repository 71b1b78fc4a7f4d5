import Glibc
import WireFormats

/// An ASF file of one video stream of constant bit rate whose pictures are noise: what servers of Windows Media are measured with.
package struct TestASF: Sendable {
    /// Header Object and the Data Object's 50 bytes.
    package let header: [UInt8]
    /// The packets, each of ``packetBytes``.
    package let packets: [[UInt8]]
    /// Milliseconds from the first picture to the end of the last one.
    package let milliseconds: Int

    /// The whole file.
    package var file: [UInt8] {
        var bytes = header
        bytes.reserveCapacity(header.count + packets.reduce(0) { $0 + $1.count })
        for packet in packets { bytes += packet }
        return bytes
    }

    private static let framesPerSecond = 30
    private static let framesPerKey = 30
    private static let prerollMilliseconds: UInt32 = 1_000

    /// So many seconds of that bit rate, framing of the packets included. Nil for packets in which no payload has room.
    package init?(seconds: Int, bitRate: Int, packetBytes: Int) {
        var packets: [[UInt8]] = []
        guard let milliseconds = Self.make(seconds: seconds, bitRate: bitRate, packetBytes: packetBytes, { packets.append($0) }) else {
            return nil
        }
        self.packets = packets
        self.milliseconds = milliseconds
        header = Self.header(
            packets: packets.count, packetBytes: packetBytes, bitRate: bitRate, milliseconds: milliseconds + Int(Self.prerollMilliseconds))
    }

    /// The same into a file, without having it in memory. Throws where it cannot be made or written.
    static func write(to name: String, seconds: Int, bitRate: Int, packetBytes: Int) throws(WorkbenchError) {
        let file = try Descriptor(kernel("cannot make \(name)", unsafe open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)))
        var offset = 0
        func put(_ bytes: [UInt8], at place: Int) throws(WorkbenchError) {
            let written = unsafe bytes.withUnsafeBytes { unsafe pwrite(file.number, $0.baseAddress, $0.count, place) }
            if written != bytes.count { throw WorkbenchError("cannot write \(name): \(errorText(errno))") }
        }
        // Its numbers are known at the end; its size is always the same.
        offset = header(packets: 0, packetBytes: packetBytes, bitRate: bitRate, milliseconds: 0).count
        var count = 0
        var batch: [UInt8] = []
        var trouble: WorkbenchError?
        let milliseconds = make(seconds: seconds, bitRate: bitRate, packetBytes: packetBytes) { packet in
            batch += packet
            count += 1
            guard batch.count >= 1 << 20, trouble == nil else { return }
            do throws(WorkbenchError) { try put(batch, at: offset) } catch { trouble = error }
            offset += batch.count
            batch.removeAll(keepingCapacity: true)
        }
        if let trouble { throw trouble }
        guard let milliseconds else { throw WorkbenchError("no packet of \(packetBytes) bytes can be made") }
        try put(batch, at: offset)
        let length = milliseconds + Int(prerollMilliseconds)
        try put(header(packets: count, packetBytes: packetBytes, bitRate: bitRate, milliseconds: length), at: 0)
    }

    /// Gives packets one after the other; how long they last, or nil for packets in which no payload has room.
    private static func make(seconds: Int, bitRate: Int, packetBytes: Int, _ take: ([UInt8]) -> Void) -> Int? {
        guard var packetiser = ASFPacketiser(packetBytes: packetBytes, prerollMilliseconds: prerollMilliseconds), packetBytes >= 128
        else { return nil }
        // What heads of packets and payloads take, of which there are about two in a packet.
        let share = Double(packetBytes - 46) / Double(packetBytes)
        let pictureBytes = max(Int(Double(bitRate) / 8 / Double(framesPerSecond) * share), 16)
        // No two pictures in a row are alike.
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        let noise = (0..<(pictureBytes + 251)).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        let frames = max(seconds, 1) * framesPerSecond
        for frame in 0..<frames {
            let isKey = frame % framesPerKey == 0
            let offset = frame * 7 % 251
            var bytes = Array(noise[offset..<(offset + pictureBytes)])
            // The first bit of a picture of WMV2 says what it is.
            bytes[0] = isKey ? bytes[0] & 0x7F : bytes[0] | 0x80
            let time = UInt32(frame * 1_000 / framesPerSecond) + prerollMilliseconds
            packetiser.add(
                ASFMediaObject(
                    stream: 1, number: UInt8(truncatingIfNeeded: frame), isKey: isKey, presentationTime: time, bytes: bytes)
            ) { take($0) }
        }
        packetiser.flush { take($0) }
        return frames * 1_000 / framesPerSecond
    }

    private static func header(packets: Int, packetBytes: Int, bitRate: Int, milliseconds: Int) -> [UInt8] {
        let fileID = (1...16).map { UInt8($0) }
        var stream = ASFGUID.videoMedia.bytes + ASFGUID.noErrorCorrection.bytes
        stream.append(little: 0 as UInt64)
        stream.append(little: 51 as UInt32)
        stream.append(little: 0 as UInt32)
        stream.append(little: 1 as UInt16)
        stream.append(little: 0 as UInt32)
        // The picture's size, and a BITMAPINFOHEADER.
        stream.append(little: 320 as UInt32)
        stream.append(little: 240 as UInt32)
        stream.append(2)
        stream.append(little: 40 as UInt16)
        stream.append(little: 40 as UInt32)
        stream.append(little: 320 as UInt32)
        stream.append(little: 240 as UInt32)
        stream.append(little: 1 as UInt16)
        stream.append(little: 24 as UInt16)
        stream += Array("WMV2".utf8)
        stream.append(little: 320 * 240 * 3 as UInt32)
        for _ in 0..<4 { stream.append(little: 0 as UInt32) }
        var rates: [UInt8] = []
        rates.append(little: 1 as UInt16)
        rates.append(little: 1 as UInt16)
        rates.append(little: UInt32(clamping: bitRate))
        func children(fileBytes: UInt64) -> [UInt8] {
            var all = fileID
            all.append(little: fileBytes)
            all.append(little: 0 as UInt64)
            all.append(little: UInt64(packets))
            all.append(little: UInt64(milliseconds) * 10_000)
            all.append(little: UInt64(milliseconds) * 10_000)
            all.append(little: UInt64(prerollMilliseconds))
            all.append(little: 2 as UInt32)
            all.append(little: UInt32(packetBytes))
            all.append(little: UInt32(packetBytes))
            all.append(little: UInt32(clamping: bitRate))
            var extensions = ASFGUID.reserved1.bytes
            extensions.append(little: 6 as UInt16)
            extensions.append(little: 0 as UInt32)
            return object(.fileProperties, all) + object(.headerExtension, extensions) + object(.streamProperties, stream)
                + object(.streamBitrateProperties, rates)
        }
        let childBytes = children(fileBytes: 0).count
        let fileBytes = UInt64(30 + childBytes + ASFDataHead.byteCount + packets * packetBytes)
        var header = ASFGUID.header.bytes
        header.append(little: UInt64(30 + childBytes))
        header.append(little: 4 as UInt32)
        header += [1, 2] + children(fileBytes: fileBytes)
        header += ASFGUID.data.bytes
        header.append(little: UInt64(ASFDataHead.byteCount + packets * packetBytes))
        header += fileID
        header.append(little: UInt64(packets))
        return header + [1, 1]
    }

    private static func object(_ guid: ASFGUID, _ body: [UInt8]) -> [UInt8] {
        var bytes = guid.bytes
        bytes.append(little: UInt64(24 + body.count))
        return bytes + body
    }
}

extension [UInt8] {
    fileprivate mutating func append<Number: FixedWidthInteger & UnsignedInteger>(little value: Number) {
        for byte in 0..<(Number.bitWidth / 8) { append(UInt8(truncatingIfNeeded: value >> Number(8 * byte))) }
    }
}
