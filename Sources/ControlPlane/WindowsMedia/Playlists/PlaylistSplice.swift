import WireFormats

/// The entries of a playlist behind one header and on one time line, for those who can follow no change of header.
///
/// An entry fits if it has, for each stream of the header, one of the same format. If its packets are of another size, its streams numbered
/// otherwise, or its preroll is another, its packets are made anew of its media objects; else they are moved in time alone.
struct PlaylistSplice {
    /// An entry whose streams the header cannot describe, in words.
    struct Misfit: Error, CustomStringConvertible {
        let description: String
    }

    /// What all packets that come out belong to.
    let header: ASFHeader
    /// Packets that could not be read, and were left out.
    private(set) var broken = 0
    /// Entries whose packets were made anew.
    private(set) var remade = 0

    private var line: WindowsMediaTimeLine
    private var hasBegun = false
    /// Of the packets that are taken.
    private(set) var packetBytes = 0
    private var remake: Remake?

    private struct Remake {
        var streams: [UInt8: UInt8]
        var reassembler = ASFReassembler()
        var packetiser: ASFPacketiser
        var shift: UInt32
    }

    /// Nothing yet. With the time line of what went before, it goes on from there.
    init(header: ASFHeader, after before: PlaylistSplice? = nil) {
        self.header = header
        line = before?.line ?? WindowsMediaTimeLine()
        hasBegun = before?.hasBegun ?? false
    }

    /// How long the last packet is, in milliseconds.
    var lastDuration: UInt16 { line.lastDuration }

    /// Another entry begins, with this header; or the one that the header was made of, which always fits. What is left of the one before was
    /// taken by ``ends(_:)``.
    mutating func begins(_ entry: ASFHeader, isOwn: Bool = false) throws(Misfit) {
        var remake: Remake?
        if !isOwn, !entry.continues(header) {
            guard !entry.isProtected, !header.isProtected else { throw Misfit(description: "what is protected stands alone") }
            guard let packetiser = ASFPacketiser(packetBytes: header.packetBytes, prerollMilliseconds: header.file.prerollMilliseconds)
            else { throw Misfit(description: "packets of \(header.packetBytes) bytes cannot be made") }
            remake = Remake(
                streams: try Self.streams(of: entry, in: header), packetiser: packetiser,
                shift: header.file.prerollMilliseconds &- entry.file.prerollMilliseconds)
            remade += 1
        }
        self.remake = remake
        packetBytes = entry.packetBytes
        line.begins(goingOn: hasBegun)
        hasBegun = true
    }

    /// Which number each stream of an entry gets: that of a stream of the same format.
    private static func streams(of entry: ASFHeader, in header: ASFHeader) throws(Misfit) -> [UInt8: UInt8] {
        var result: [UInt8: UInt8] = [:]
        for wanted in header.streams {
            let found = entry.streams.first {
                result[$0.number] == nil && $0.typeGUID == wanted.typeGUID && $0.typeData == wanted.typeData
                    && $0.extended?.extensionSystems == wanted.extended?.extensionSystems
            }
            guard let found else {
                let have = entry.streams.filter { $0.kind == wanted.kind }.map(\.codecName)
                throw Misfit(
                    description:
                        "stream \(wanted.number) is \(wanted.codecName), and the entry has \(have.isEmpty ? "none of its kind" : "another format, \(have.joined(separator: ", "))")"
                )
            }
            result[found.number] = wanted.number
        }
        return result
    }

    /// A packet of the entry, at its full size; hands out what comes of it.
    mutating func take(_ packet: [UInt8], _ body: ([UInt8]) -> Void) {
        guard var remake else { return move(packet, body) }
        var objects: [ASFMediaObject] = []
        do throws(ASFPacketError) {
            try remake.reassembler.take(packet.span, packetBytes: packetBytes) { objects.append($0) }
        } catch { broken += 1 }
        var packets: [[UInt8]] = []
        for var object in objects {
            guard let number = remake.streams[object.stream] else { continue }
            object.stream = number
            object.presentationTime = object.presentationTime &+ remake.shift
            remake.packetiser.add(object) { packets.append($0) }
        }
        self.remake = remake
        for packet in packets { move(packet, body) }
    }

    /// The entry is over: hands out what is left of it.
    mutating func ends(_ body: ([UInt8]) -> Void) {
        guard var remake else { return }
        var packets: [[UInt8]] = []
        remake.packetiser.flush { packets.append($0) }
        self.remake = nil
        for packet in packets { move(packet, body) }
    }

    private mutating func move(_ packet: [UInt8], _ body: ([UInt8]) -> Void) {
        var packet = packet
        do { try line.move(&packet, packetBytes: header.packetBytes) } catch {
            broken += 1
            return
        }
        body(packet)
    }
}
