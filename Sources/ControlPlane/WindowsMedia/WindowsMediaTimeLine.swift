import WireFormats

/// One time line of what comes in several pieces, each with a clock of its own: the next piece goes on where the last one ended.
struct WindowsMediaTimeLine {
    private var shift = ASFRetiming()
    private var last: (send: UInt32, duration: UInt16)?
    private var objects = InlineArray<128, UInt8>(repeating: 0)
    private var isBeginning = false
    /// Streams whose objects have got their offset in this piece.
    private var renumbered = ASFStreamSet()
    private var isRenumbering = false

    /// How long the last packet is, in milliseconds.
    var lastDuration: UInt16 { last?.duration ?? 0 }

    /// A time that goes on by more than this within a piece begins another one, and one that goes back by more than the next.
    static let leapMilliseconds: Int32 = 5_000
    static let stepBackMilliseconds: Int32 = 500

    /// Another piece begins. Unless it goes on, nothing that came before counts.
    mutating func begins(goingOn goesOn: Bool) {
        if goesOn { isBeginning = last != nil } else { self = Self() }
    }

    /// Moves a packet to its place.
    mutating func move(_ packet: inout [UInt8], packetBytes: Int) throws {
        var head = try ASFPacket(packet.span, packetBytes: packetBytes)
        if let last, !isBeginning {
            let leap = Int32(bitPattern: head.sendTime &+ UInt32(bitPattern: shift.milliseconds) &- last.send)
            isBeginning = leap < -Self.stepBackMilliseconds || leap > Self.leapMilliseconds
        }
        if isBeginning, let last {
            isBeginning = false
            shift.milliseconds = Int32(bitPattern: last.send &+ UInt32(max(last.duration, 1)) &- head.sendTime)
            renumbered = ASFStreamSet()
            isRenumbering = true
        }
        if isRenumbering {
            // Objects of the last piece and of this one are not to be taken for one.
            var payloads = ASFPayloads(head)
            while let payload = try payloads.next(in: packet.span) {
                if renumbered.contains(payload.stream) { continue }
                let before = objects[Int(payload.stream)]
                shift.setNumberOffset(before &+ 1 &- UInt8(truncatingIfNeeded: payload.objectNumber), stream: payload.stream)
                renumbered.insert(payload.stream)
            }
        }
        try shift.apply(to: &packet, packetBytes: packetBytes)
        head = try ASFPacket(packet.span, packetBytes: packetBytes)
        last = (head.sendTime, head.duration)
        var payloads = ASFPayloads(head)
        while let payload = try payloads.next(in: packet.span) {
            objects[Int(payload.stream)] = UInt8(truncatingIfNeeded: payload.objectNumber)
        }
    }
}
