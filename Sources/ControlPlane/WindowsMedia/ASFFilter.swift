import Signalling
import WireFormats

/// What of a stream's packets a player, or all players of one selection, are sent. Streams begin where they can be entered.
struct ASFFilter {
    private var selection: ASFSelection
    private let packetBytes: Int
    /// Streams that can be entered at key frames alone, with what tells a key frame where the key bit lies.
    private let keyFrameStreams: ASFStreamSet
    private let videoFormats: [UInt8: ASFVideoFormat]
    /// Packets that could not be read, and were left out.
    private(set) var broken = 0

    init(_ wanted: WMSPSelection, of header: ASFHeader) {
        packetBytes = header.packetBytes
        keyFrameStreams = header.keyFrameStreams
        videoFormats = Dictionary(header.streams.compactMap { stream in stream.video.map { (stream.number, $0) } }) { first, _ in first }
        selection = ASFSelection(
            streams: wanted.streams, keyFramesOnly: wanted.keyFramesOnly, keyFrameStreams: header.keyFrameStreams, joins: true)
    }

    /// Other streams from here on. New ones begin where they can be entered; those that go end with the object that was begun.
    mutating func select(_ wanted: WMSPSelection) {
        for stream in selection.streams.numbers where !wanted.streams.contains(stream) { selection.turnOff(stream) }
        for stream in wanted.streams.numbers { selection.turnOn(stream) }
        selection.keyFramesOnly = wanted.keyFramesOnly
    }

    /// What goes of a packet, at full size; nil when nothing does.
    mutating func filter(_ packet: [UInt8]) -> [UInt8]? {
        do { return try selection.packet(packet, packetBytes: packetBytes) } catch {
            broken += 1
            return nil
        }
    }

    /// Whether a player may begin with this packet: a picture that can be entered at begins in it, or, without video, any object.
    func isStart(_ packet: [UInt8]) -> Bool {
        let video = keyFrameStreams.intersection(selection.streams)
        let bytes = packet.span
        guard let head = try? ASFPacket(bytes, packetBytes: packetBytes) else { return false }
        var payloads = ASFPayloads(head)
        while let payload = try? payloads.next(in: bytes) {
            guard payload.startsObject, video.isEmpty || video.contains(payload.stream) else { continue }
            if video.isEmpty { return true }
            // VLC says of every picture that it is a key frame; the picture knows better.
            let beginning = bytes.extracting(payload.dataOffset..<min(payload.end, payload.dataOffset + 32))
            if videoFormats[payload.stream]?.isKeyPicture(beginning) ?? payload.isKey { return true }
        }
        return false
    }
}
