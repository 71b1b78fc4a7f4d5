/// Writes compounds: a report and its source description, as RFC 3550 section 6.1 wants them together, and goodbyes.
///
/// The `write` functions append to a buffer and allocate nothing; each says how much room it needs and writes nothing when there
/// is less. The functions that give `[UInt8]` are for the control plane.
package enum RTCPWriter {
    /// Bytes of a CNAME; longer ones are cut.
    package static let canonicalNameBytesMax = 255
    /// Blocks of one report; more are left out.
    package static let reportBlocksMax = 31

    /// Bytes of a source description with that CNAME.
    package static func descriptionByteCount(canonicalName: Span<UInt8>) -> Int {
        // Header, SSRC, item of two bytes and text, at least one zero, to a multiple of four.
        (8 &+ 2 &+ min(canonicalName.count, canonicalNameBytesMax) &+ 1 &+ 3) & ~3
    }

    /// Bytes of ``write(senderReport:canonicalName:into:)``.
    package static func senderReportByteCount(canonicalName: Span<UInt8>) -> Int {
        28 &+ descriptionByteCount(canonicalName: canonicalName)
    }

    /// A sender report without blocks, and the source's CNAME. False, and nothing written, if the buffer has less room.
    @discardableResult
    package static func write(
        senderReport report: RTCPSenderReport, canonicalName: Span<UInt8>, into bytes: inout OutputRawSpan
    ) -> Bool {
        guard bytes.freeCapacity >= senderReportByteCount(canonicalName: canonicalName) else { return false }
        bytes.append32(header(count: 0, type: RTCPPacketType.senderReport, words: 6))
        bytes.append32(report.ssrc)
        bytes.append32(UInt32(truncatingIfNeeded: report.ntp.value >> 32))
        bytes.append32(UInt32(truncatingIfNeeded: report.ntp.value))
        bytes.append32(report.rtpTimestamp)
        bytes.append32(report.packetCount)
        bytes.append32(report.octetCount)
        writeDescription(ssrc: report.ssrc, canonicalName: canonicalName, into: &bytes)
        return true
    }

    /// Bytes of ``write(receiverReportFrom:block:canonicalName:into:)``.
    package static func receiverReportByteCount(hasBlock: Bool, canonicalName: Span<UInt8>) -> Int {
        8 &+ (hasBlock ? RTCPReportBlock.byteCount : 0) &+ descriptionByteCount(canonicalName: canonicalName)
    }

    /// A receiver report of one block, or of none (which is what opens a way through a NAT), and the receiver's CNAME. False, and
    /// nothing written, if the buffer has less room.
    @discardableResult
    package static func write(
        receiverReportFrom ssrc: UInt32, block: RTCPReportBlock?, canonicalName: Span<UInt8>, into bytes: inout OutputRawSpan
    ) -> Bool {
        guard bytes.freeCapacity >= receiverReportByteCount(hasBlock: block != nil, canonicalName: canonicalName) else { return false }
        bytes.append32(header(count: block == nil ? 0 : 1, type: RTCPPacketType.receiverReport, words: block == nil ? 1 : 7))
        bytes.append32(ssrc)
        block?.write(into: &bytes)
        writeDescription(ssrc: ssrc, canonicalName: canonicalName, into: &bytes)
        return true
    }

    /// Bytes of a goodbye.
    package static let goodbyeByteCount = 8

    /// A goodbye of one source, to stand behind a report. False, and nothing written, if the buffer has less room.
    @discardableResult
    package static func write(goodbyeFrom ssrc: UInt32, into bytes: inout OutputRawSpan) -> Bool {
        guard bytes.freeCapacity >= goodbyeByteCount else { return false }
        bytes.append32(header(count: 1, type: RTCPPacketType.bye, words: 1))
        bytes.append32(ssrc)
        return true
    }

    private static func header(count: UInt8, type: UInt8, words: Int) -> UInt32 {
        0x8000_0000 | UInt32(count & 0x1F) << 24 | UInt32(type) << 16 | UInt32(truncatingIfNeeded: words & 0xFFFF)
    }

    private static func writeDescription(ssrc: UInt32, canonicalName: Span<UInt8>, into bytes: inout OutputRawSpan) {
        let length = min(canonicalName.count, canonicalNameBytesMax), total = descriptionByteCount(canonicalName: canonicalName)
        bytes.append32(header(count: 1, type: RTCPPacketType.sourceDescription, words: total / 4 &- 1))
        bytes.append32(ssrc)
        bytes.append(1)
        bytes.append(UInt8(truncatingIfNeeded: length))
        for index in 0..<length { bytes.append(canonicalName[index]) }
        for _ in (10 &+ length)..<total { bytes.append(0) }
    }
}

extension RTCPWriter {
    /// A sender report and CNAME in an array.
    package static func senderReport(_ report: RTCPSenderReport, canonicalName: String) -> [UInt8] {
        let name = Array(canonicalName.utf8)
        return [UInt8](capacity: senderReportByteCount(canonicalName: name.span)) {
            write(senderReport: report, canonicalName: name.span, into: &$0)
        }
    }

    /// A receiver report and CNAME in an array.
    package static func receiverReport(from ssrc: UInt32, block: RTCPReportBlock?, canonicalName: String) -> [UInt8] {
        let name = Array(canonicalName.utf8)
        return [UInt8](capacity: receiverReportByteCount(hasBlock: block != nil, canonicalName: name.span)) {
            write(receiverReportFrom: ssrc, block: block, canonicalName: name.span, into: &$0)
        }
    }

    /// An empty receiver report with CNAME and a goodbye in an array.
    package static func goodbye(from ssrc: UInt32, canonicalName: String) -> [UInt8] {
        let name = Array(canonicalName.utf8)
        return [UInt8](capacity: receiverReportByteCount(hasBlock: false, canonicalName: name.span) + goodbyeByteCount) {
            write(receiverReportFrom: ssrc, block: nil, canonicalName: name.span, into: &$0)
            write(goodbyeFrom: ssrc, into: &$0)
        }
    }
}
