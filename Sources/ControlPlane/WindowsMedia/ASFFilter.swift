import Signalling
import WireFormats

/// What of a stream's packets a player, or all players of one selection, are sent. Streams begin where they can be entered.
struct ASFFilter {
    private var selection: ASFSelection
    private let packetBytes: Int
    /// Streams that can be entered at key frames alone, with what tells a key frame where the key bit lies.
    private let keyFrameStreams: ASFStreamSet
    private let videoFormats: [UInt8: ASFVideoFormat]
    private let kinds: [UInt8: ASFStream.Kind]
    /// Streams that go on until those that take their place have begun.
    private var leaving: [(stream: UInt8, successor: UInt8)] = []
    /// Streams of which all is wanted again, from their next key frame on.
    private var thickening = ASFStreamSet()
    /// Packets that could not be read, and were left out.
    private(set) var broken = 0

    /// A filter. Without `joins` its streams have begun already.
    init(_ wanted: WMSPSelection, of header: ASFHeader, joins: Bool = true) {
        packetBytes = header.packetBytes
        keyFrameStreams = header.keyFrameStreams
        videoFormats = Dictionary(header.streams.compactMap { stream in stream.video.map { (stream.number, $0) } }) { first, _ in first }
        kinds = Dictionary(header.streams.map { ($0.number, $0.kind) }) { first, _ in first }
        selection = ASFSelection(
            streams: wanted.streams, keyFramesOnly: wanted.keyFramesOnly, keyFrameStreams: header.keyFrameStreams, joins: joins)
    }

    /// Other streams from here on. New ones begin where they can be entered; those whose place they take go on until then, and others end
    /// with the object that was begun.
    mutating func select(_ wanted: WMSPSelection) {
        leaving = []
        let new = wanted.streams.subtracting(selection.streams)
        for stream in selection.streams.subtracting(wanted.streams).numbers {
            if let successor = new.numbers.first(where: { kinds[$0] == kinds[stream] }) {
                leaving.append((stream, successor))
            } else {
                selection.turnOff(stream)
            }
        }
        for stream in new.numbers { selection.turnOn(stream) }
        thickening = selection.keyFramesOnly.intersection(wanted.whole).intersection(keyFrameStreams)
        let kept = selection.keyFramesOnly.intersection(selection.streams.subtracting(wanted.streams))
        selection.keyFramesOnly = wanted.keyFramesOnly.union(thickening).union(kept)
    }

    /// What goes of a packet, at full size; nil when nothing does.
    mutating func filter(_ packet: [UInt8]) -> [UInt8]? {
        if !thickening.isEmpty { thicken(at: packet) }
        do {
            let kept = try selection.packet(packet, packetBytes: packetBytes)
            if !leaving.isEmpty { relieve() }
            return kept
        } catch {
            broken += 1
            return nil
        }
    }

    private mutating func relieve() {
        for one in leaving where !selection.waiting.contains(one.successor) { selection.turnOff(one.stream) }
        leaving.removeAll { !selection.waiting.contains($0.successor) }
    }

    /// What follows a key frame can be shown.
    private mutating func thicken(at packet: [UInt8]) {
        let bytes = packet.span
        guard let head = try? ASFPacket(bytes, packetBytes: packetBytes) else { return }
        var payloads = ASFPayloads(head)
        while let payload = try? payloads.next(in: bytes) {
            guard payload.startsObject, payload.isKey, thickening.contains(payload.stream) else { continue }
            thickening.remove(payload.stream)
            selection.keyFramesOnly.remove(payload.stream)
            // Before it may stand the rest of a picture whose beginning did not go.
            selection.turnOff(payload.stream)
            selection.turnOn(payload.stream)
        }
    }

    /// Whether all streams of sound have begun: what goes from here on holds no object of them that was begun elsewhere.
    var hasSound: Bool { !selection.waiting.numbers.contains { kinds[$0] == .audio } }

    /// Whether every packet goes as it is from here on: all streams were chosen whole, and those of sound and pictures have begun.
    var passesAll: Bool {
        kinds.keys.allSatisfy { selection.streams.contains($0) } && selection.keyFramesOnly.isEmpty && selection.finishing.isEmpty
            && leaving.isEmpty && thickening.isEmpty
            && !selection.waiting.numbers.contains { kinds[$0] == .audio || kinds[$0] == .video }
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
