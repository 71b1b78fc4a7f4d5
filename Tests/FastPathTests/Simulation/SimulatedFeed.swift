import Glibc
import PlaneLink

@testable import FastPath

/// A packet as the simulation gave it to the engine. Its bytes lie in the buffer that was lent, which lives as long as the simulation.
@safe struct FedPacket {
    /// Counts all packets of the simulation, and stands in the payload: by it a packet is known again.
    var number: Int
    let bytes: UnsafeRawPointer
    let count: Int
    let track: Int
    let isReport: Bool
    /// Which time line of the source it belongs to.
    let epoch: Int
    let sequence: UInt16
    let timestamp: UInt32
    let startsKeyFrame: Bool
    /// A stray packet of another sender: the engine takes one such for nothing.
    let isStray: Bool
    /// Of a verbatim stream: which of its packets this is, from 0.
    var place = 0
}

/// Bytes of frames in the making, and where the packets lie in them.
struct FeedDraft {
    struct Place {
        var offset: Int
        var count: Int
        var number: Int
        var track: Int
        var isReport = false
        var sequence: UInt16 = 0
        var timestamp: UInt32 = 0
        var startsKeyFrame = false
        var isStray = false
    }

    /// Its packets are fed to be sent as they are, and this many bytes of a frame's head are part of them.
    var isVerbatim = false
    var headBytes = 0
    var bytes: [UInt8] = []
    var places: [Place] = []
    var count: Int { bytes.count }

    /// Begins an interleaved frame of `count` bytes.
    private mutating func begin(_ channel: Int, _ count: Int) {
        bytes.append(0x24)
        bytes.append(UInt8(channel))
        bytes.append(UInt8(count >> 8))
        bytes.append(UInt8(count & 0xFF))
    }

    private mutating func add(_ value: UInt64, bytes count: Int) {
        for place in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place))) }
    }

    /// Where a packet's number stands: after the RTP header and two bytes that say what the payload is.
    static let numberOffset = 14
    static let packetBytesMin = 22
    /// An interleaved frame's head: the whole framing of a verbatim packet.
    static let headBytes = 4

    /// Adds an RTP packet of `count` bytes; everything in it follows from its number.
    mutating func addPacket(_ place: Place, marker: Bool, ssrc: UInt32) {
        if isVerbatim { begin(place.startsKeyFrame ? 1 : 0, place.count + headBytes) }
        if !isVerbatim || headBytes > 0 { begin(2 * place.track, place.count) }
        var place = place
        place.offset = bytes.count
        bytes.append(0x80)
        bytes.append((marker ? 0x80 : 0) | UInt8(96 + place.track))
        add(UInt64(place.sequence), bytes: 2)
        add(UInt64(place.timestamp), bytes: 4)
        add(UInt64(ssrc), bytes: 4)
        // H.264: a slice of an IDR picture with first_mb_in_slice 0, or of another picture.
        bytes.append(place.startsKeyFrame ? 0x65 : 0x41)
        bytes.append(0x88)
        add(UInt64(place.number), bytes: 8)
        let start = place.number % 251
        bytes += Self.pattern[start..<start + place.count - Self.packetBytesMin]
        places.append(place)
    }

    /// Adds a sender report of the source.
    mutating func addReport(track: Int, ssrc: UInt32, ntp: UInt64, timestamp: UInt32) {
        begin(2 * track + 1, 28)
        places.append(Place(offset: bytes.count, count: 28, number: -1, track: track, isReport: true))
        add(0x80C8_0006, bytes: 4)
        add(UInt64(ssrc), bytes: 4)
        add(ntp, bytes: 8)
        add(UInt64(timestamp), bytes: 4)
        add(0, bytes: 8)
    }

    /// Adds a packet that is no RTP.
    mutating func addRubbish() {
        begin(0, 5)
        add(0x01_0203_0405, bytes: 5)
    }

    private static let pattern: [UInt8] = {
        var random = SplitMix64(seed: 7)
        return (0..<66_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()
}

/// Whether two stretches of memory hold the same bytes.
@unsafe func sameBytes(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
    unsafe count == 0 || memcmp(left, right, count) == 0
}

/// A number in network order.
@unsafe func bigEndian(_ bytes: UnsafeRawPointer, _ offset: Int, count: Int) -> UInt64 {
    var value: UInt64 = 0
    for place in 0..<count { value = unsafe value << 8 | UInt64(bytes.load(fromByteOffset: offset + place, as: UInt8.self)) }
    return value
}
