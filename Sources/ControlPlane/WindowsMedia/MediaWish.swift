import NIOCore
import Signalling
import WireFormats

/// What a player asked for of media in which it has a place of its own, over whatever protocol.
struct MediaWish {
    /// Which streams, and how much of them.
    var selection: WMSPSelection
    /// From where.
    var position = WMSPPosition.beginning
    /// Up to where; nil: to the end, or, backwards, to the beginning.
    var end: WMSPPlay.End?
    /// 1, or a speed of -5 to 5 but 0 where the content is stridable.
    var rate = 1.0
    /// A factor on the rate at which all is sent.
    var speed = 1.0
    /// What was granted of the beginning; nil where the player did not ask for it.
    var fastStart: WMSPPlay.FastStart?
    /// Nothing goes before it has said which streams.
    var isHeld = false
    /// It is told of each entry of a playlist; for others all entries are made one.
    var followsEntries = true
    /// Names the player in logs.
    var words = ""

    /// From this rate on key frames go alone: sound could not be followed, and all pictures are more than anybody could send.
    static let thinningRate = 2.0

    /// A wish for some streams, from the beginning at their own pace.
    init(selection: WMSPSelection) { self.selection = selection }

    /// What a Play of WMSP says.
    init(_ play: WMSPPlay) {
        selection = play.selection
        position = play.position
        end = play.end
        rate = play.rate
        speed = play.speed
        fastStart = play.fastStart
        isHeld = play.isHeld
        followsEntries = play.dialect.takesStreamChanges
        words = "\(play.session)"
    }

    /// Times real time, in thousandths, at that rate.
    func thousandths(at rate: Double) -> Int { Int(min(max(speed * abs(rate), 0.001), 1_000) * 1_000) }

    /// What of a selection is sent at a rate: from some rate on key frames alone, where there are any.
    static func selection(_ selection: WMSPSelection, of header: ASFHeader, at rate: Double) -> WMSPSelection {
        guard rate >= thinningRate else { return selection }
        let thin = selection.streams.intersection(header.keyFrameStreams)
        return thin.isEmpty ? selection : WMSPSelection(keyFramesOnly: thin)
    }

    /// What sends a file so, from that packet on.
    func pump(of file: WindowsMediaFile, from first: UInt32, on eventLoop: any EventLoop) -> any MediaPump {
        if rate < 0 {
            var plan = RewindPump.Plan(file: file, selection: selection, packet: first, speedThousandths: thousandths(at: rate))
            switch end {
            case .absolute(let milliseconds): plan.endMilliseconds = file.header.file.prerollMilliseconds &+ milliseconds
            case .after(let milliseconds): plan.lengthMilliseconds = milliseconds
            case nil: break
            }
            return RewindPump(plan: plan, eventLoop: eventLoop)
        }
        var plan = FilePump.Plan(
            file: file, selection: Self.selection(selection, of: file.header, at: rate),
            packets: min(first, file.packetCount)..<file.packetCount)
        if rate == 1 {
            plan.fastStart =
                fastStart.map {
                    SendClock.FastStart(milliseconds: UInt64($0.milliseconds), bitsPerSecond: UInt64($0.bitsPerSecond))
                } ?? SendClock.FastStart(header: file.header, selection: selection)
        }
        switch (end, position) {
        case (.absolute(let milliseconds), _), (.after(let milliseconds), .beginning): plan.endMilliseconds = milliseconds
        case (.after(let milliseconds), .time(let start)): plan.endMilliseconds = start &+ min(milliseconds, .max - start)
        case (.after(let milliseconds), .packet): plan.lengthMilliseconds = milliseconds
        case (nil, _): break
        }
        plan.speedThousandths = thousandths(at: rate)
        return FilePump(plan: plan, eventLoop: eventLoop)
    }
}
