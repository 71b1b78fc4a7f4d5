/// What a decoder must have before it begins, at several rates of the link: `X-StartupProfile` ([MS-WMSP] 2.2.1.12, computed as [MS-RTSP]
/// 3.2.7.7 says). Packets go in in the order in which they are sent.
package struct ASFStartupProfile: Sendable {
    /// Rates for which it is computed, in tenths of the content's own.
    package static let rateTenths: [Int64] = [10, 12, 15, 20, 30]

    private static let objectBytesMax: UInt32 = 1 << 26

    private let packetBytes: Int
    private let kinds: [UInt8: ASFStream.Kind]
    private let hasVideo: Bool
    private let millisecondsMax: Int64
    /// Bytes a second of the streams together.
    private let byteRate: Int64

    private var firstSend: Int64?
    private var firstPresented: Int64?
    private var lastPresented: Int64 = 0
    private var lastSend: Int64 = 0
    private var chosenRate: Int64 = 0
    private var needed: Int64 = 0
    private var deficits = [Int64](repeating: 0, count: ASFStartupProfile.rateTenths.count)
    private var times = [Int64](repeating: 0, count: ASFStartupProfile.rateTenths.count)
    private var rates = [Int64](repeating: 0, count: ASFStartupProfile.rateTenths.count)
    private var soundLag: (presented: Int64, milliseconds: Int64) = (0, 0)

    /// For these streams of a file, over so much of it: the `AccelDuration` that the answer grants.
    package init(_ header: ASFHeader, streams: ASFStreamSet, milliseconds: UInt32) {
        packetBytes = header.packetBytes
        kinds = Dictionary(
            header.streams.filter { streams.contains($0.number) }.map { ($0.number, $0.kind) }, uniquingKeysWith: { first, _ in first })
        hasVideo = kinds.values.contains(.video)
        millisecondsMax = Int64(milliseconds)
        // Bounds far above anything that is played keep the sums of a header that lies from overflowing.
        byteRate = Int64(clamping: min(header.bitrate(of: streams) / 8, 1 << 30))
    }

    /// Takes the next packet. False when no more of them are wanted; one that cannot be read is passed over.
    package mutating func take(_ bytes: Span<UInt8>) -> Bool {
        guard let packet = try? ASFPacket(bytes, packetBytes: packetBytes) else { return true }
        let send = Int64(packet.sendTime)
        if let firstSend, send - firstSend > millisecondsMax { return false }
        if firstSend == nil { firstSend = send }
        var payloads = ASFPayloads(packet)
        while let payload = try? payloads.next(in: bytes) {
            guard payload.startsObject, let kind = kinds[payload.stream], let presented = payload.presentationTime else { continue }
            take(kind, send: send, presented: Int64(presented), bytes: Int64(min(payload.objectBytes, Self.objectBytesMax)))
        }
        return true
    }

    private mutating func take(_ kind: ASFStream.Kind, send: Int64, presented: Int64, bytes: Int64) {
        if firstPresented == nil { lastPresented = presented }
        let first = min(firstPresented ?? presented, presented)
        firstPresented = first
        if kind == .audio, hasVideo, lastSend != 0 {
            let behind = lastPresented - presented
            if behind > 0, behind > soundLag.milliseconds { soundLag = (presented, behind + lastSend - send) }
        }
        lastSend = send
        if kind == .video || !hasVideo {
            let elapsed = send - (firstSend ?? send)
            let rate = elapsed > 0 ? (needed + bytes) * 1_000 / elapsed : 0
            chosenRate = rate == 0 || rate > byteRate ? byteRate : rate
            if presented > lastPresented {
                let streamed = lastPresented > first ? (lastPresented - first) * chosenRate / 1_000 : 0
                for (index, tenths) in Self.rateTenths.enumerated() {
                    let deficit = needed - streamed * tenths / 10
                    guard deficit > deficits[index] else { continue }
                    deficits[index] = deficit
                    times[index] = lastPresented - first
                    rates[index] = chosenRate
                }
            }
            lastPresented = presented
        }
        if presented - first == times[0] {
            for index in times.indices where times[index] == presented - first { deficits[index] += bytes }
        }
        needed += bytes
    }

    /// The header's value; nil when there was nothing to go by.
    package var text: String? {
        guard let first = firstPresented else { return nil }
        func list(_ values: [Int64]) -> String { values.map(String.init).joined(separator: ",") }
        return "Rate=\(list(Self.rateTenths));MaxBytes=\(list(deficits));Time=\(list(times));StartTime=\(first);"
            + "LastTime=\(max(lastPresented - first, 0));MaxDiffTime=\(max(soundLag.presented - first, 0));"
            + "MaxDiffSndTime=\(soundLag.milliseconds);ByteRate=\(list(rates));"
    }
}
