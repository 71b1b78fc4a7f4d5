/// Recovers lost RTP packets from FEC packets ([MS-RTSP] 2.2.2). Takes every RTP packet of a session, in any order; holds the latest ones.
package struct FECDecoder: Sendable {
    /// Media packets that are kept: what a sender may ask for is 48, and packets may come late.
    package static let packetsMax = 96
    /// Spans whose FEC packets are kept.
    package static let spansMax = 24
    /// Bytes of all that is kept.
    package static let bytesMax = 4 << 20

    /// What became of what came.
    package struct Counters: Sendable, Hashable {
        /// Packets that were recovered.
        package var recovered: UInt64 = 0
        /// FEC packets that are none, or of another length than they must have.
        package var malformed: UInt64 = 0
        /// Spans that were given up with packets missing.
        package var spansLost: UInt64 = 0
    }

    private struct Media {
        var sequence: UInt16
        var bytes: [UInt8]
    }

    private struct Group {
        let base: UInt16
        let mask: UInt32
        var rows: [(header: FECHeader, data: [UInt8])] = []
        var bytes: Int { rows.reduce(0) { $0 + $1.data.count } }
        /// How far a packet is from the base, of each packet that is protected.
        var distances: [UInt16] { (0..<24).filter { mask >> UInt32($0) & 1 != 0 } }
    }

    private let mediaPayloadType: UInt8
    private let fecPayloadType: UInt8
    private var media: [Media] = []
    private var spans: [Group] = []
    private var bytesHeld = 0
    private var ssrc: UInt32?
    /// What happened so far.
    package private(set) var counters = Counters()

    /// Nothing came yet.
    package init(mediaPayloadType: UInt8 = ASFRTPPacketiser.payloadType, fecPayloadType: UInt8) {
        self.mediaPayloadType = mediaPayloadType
        self.fecPayloadType = fecPayloadType
    }

    /// Forgets what came: after a seek.
    package mutating func reset() {
        media = []
        spans = []
        bytesHeld = 0
    }

    /// Takes an RTP packet, media or FEC, and hands out each media packet that can be recovered now. Those have the marker bit where they hold a
    /// whole ASF packet; with a piece nobody knows. Packets of other payload types are passed over.
    package mutating func take(_ packet: Span<UInt8>, _ body: ([UInt8]) -> Void) {
        guard let header = try? RTPHeader(packet) else { return }
        if header.payloadType == mediaPayloadType {
            ssrc = header.ssrc
            guard !media.contains(where: { $0.sequence == header.sequence }) else { return }
            keep([UInt8](packet, 0..<packet.count), header.sequence)
            for index in spans.indices.reversed() where Self.protects(spans[index], header.sequence) { solve(index, body) }
        } else if header.payloadType == fecPayloadType {
            // Media and FEC are of one session; a server that sends FEC under another SSRC is known by its media.
            if ssrc == nil { ssrc = header.ssrc }
            take(fec: packet.extracting(header.payloadOffset..<header.payloadEnd), body)
        }
    }

    private mutating func take(fec payload: Span<UInt8>, _ body: ([UInt8]) -> Void) {
        guard let header = FECHeader(payload) else { return counters.malformed &+= 1 }
        let data = [UInt8](payload, FECHeader.byteCount..<payload.count)
        var index: Int
        if let found = spans.firstIndex(where: { $0.base == header.base && $0.mask == header.mask }) {
            index = found
            guard !spans[found].rows.contains(where: { $0.header.index == header.index }) else { return }
            guard spans[found].rows[0].data.count == data.count else { return counters.malformed &+= 1 }
        } else {
            if spans.count >= Self.spansMax { giveUp(0) }
            spans.append(Group(base: header.base, mask: header.mask))
            index = spans.count - 1
        }
        spans[index].rows.append((header, data))
        bytesHeld += data.count
        while bytesHeld > Self.bytesMax, index > 0 {
            giveUp(0)
            index -= 1
        }
        solve(index, body)
    }

    private mutating func keep(_ bytes: [UInt8], _ sequence: UInt16) {
        if media.count >= Self.packetsMax { bytesHeld -= media.removeFirst().bytes.count }
        media.append(Media(sequence: sequence, bytes: bytes))
        bytesHeld += bytes.count
        while bytesHeld > Self.bytesMax, media.count > 1 { bytesHeld -= media.removeFirst().bytes.count }
    }

    private mutating func giveUp(_ index: Int) {
        counters.spansLost &+= 1
        bytesHeld -= spans.remove(at: index).bytes
    }

    private static func protects(_ span: Group, _ sequence: UInt16) -> Bool {
        let distance = sequence &- span.base
        return distance < 24 && span.mask >> UInt32(distance) & 1 != 0
    }

    /// Recovers what a span lacks, if it has as many FEC packets as that is; then it is done with.
    private mutating func solve(_ index: Int, _ body: ([UInt8]) -> Void) {
        let span = spans[index], distances = span.distances
        let have = distances.map { distance in media.firstIndex { $0.sequence == span.base &+ distance } }
        let missing = have.indices.filter { have[$0] == nil }
        guard missing.count <= span.rows.count else { return }
        bytesHeld -= spans.remove(at: index).bytes
        guard !missing.isEmpty else { return }
        let rows = span.rows.prefix(missing.count)
        var sums = rows.map { row in
            let header = row.header
            var sum: [UInt8] = []
            sum.append(big: header.length)
            sum.append(big: header.timestamp)
            return sum + row.data
        }
        var matrix: [[UInt8]] = []
        for (number, row) in rows.enumerated() {
            let coefficients = VandermondeCode.coefficients(row: Int(row.header.index), count: distances.count)
            matrix.append(missing.map { coefficients[$0] })
            for place in have.indices {
                guard let one = have[place] else { continue }
                let bytes = media[one].bytes
                let known = Self.sum(of: bytes)
                // What is longer than the sum is not what was protected.
                guard known.count <= sums[number].count else { return counters.malformed &+= 1 }
                Self.add(known, times: coefficients[place], to: &sums[number])
            }
        }
        guard let inverse = VandermondeCode.inverse(matrix) else { return counters.malformed &+= 1 }
        for (place, factors) in zip(missing, inverse) {
            var whole = [UInt8](repeating: 0, count: sums[0].count)
            for (sum, factor) in zip(sums, factors) { Self.add(sum, times: factor, to: &whole) }
            let length = Int(whole.span.load16(0)), timestamp = whole.span.load32(2)
            guard length <= whole.count - 6 else {
                counters.malformed &+= 1
                continue
            }
            var packet: [UInt8] = []
            packet.append(
                rtpHeader: mediaPayloadType, marker: length > 0 && whole[6] & 0x40 != 0, sequence: span.base &+ distances[place],
                timestamp: timestamp, ssrc: ssrc ?? 0)
            packet += whole[6..<(6 + length)]
            counters.recovered &+= 1
            keep(packet, span.base &+ distances[place])
            body(packet)
        }
    }

    /// Length, timestamp and what stands behind the header.
    private static func sum(of packet: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(big: UInt16(clamping: packet.count - RTPHeader.byteCountMin))
        bytes += packet[4..<8]
        bytes += packet[RTPHeader.byteCountMin...]
        return bytes
    }

    private static func add(_ source: [UInt8], times factor: UInt8, to target: inout [UInt8]) {
        let products = GF256.products
        var span = target.mutableSpan
        GF256.add(source.span, times: factor, to: &span, at: 0, products: products.span)
    }
}
