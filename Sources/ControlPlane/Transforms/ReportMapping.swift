import WireFormats

/// How a program's time is told in its input's: the first packet that it sent stands for the first that it was given. From there on both
/// clocks are the source's, since a program that keeps time stamps counts on.
struct ReportMapping: Equatable {
    /// RTP timestamps of the first packets, and the rates of their clocks in Hz (at least 1).
    let inputFirst: UInt32
    let inputClock: UInt32
    let outputFirst: UInt32
    let outputClock: UInt32

    /// A moment of the input's clock on the program's, modulo 2³².
    func output(_ input: UInt32) -> UInt32 {
        let passed = Int64(Int32(bitPattern: input &- inputFirst))
        let (ticks, rest) = passed.quotientAndRemainder(dividingBy: Int64(max(inputClock, 1)))
        let moved = ticks * Int64(outputClock) + rest * Int64(outputClock) / Int64(max(inputClock, 1))
        return outputFirst &+ UInt32(truncatingIfNeeded: moved)
    }

    /// The input's sender report as the program would have written it, knowing the source's wall clock. The engine counts packets anew.
    func output(_ report: RTCPSenderReport, ssrc: UInt32) -> RTCPSenderReport {
        RTCPSenderReport(ssrc: ssrc, ntp: report.ntp, rtpTimestamp: output(report.rtpTimestamp), packetCount: 0, octetCount: 0)
    }
}

extension RTCPSenderReport {
    /// The same so many nanoseconds later, on both clocks.
    func moved(by nanoseconds: UInt64, clockRate: UInt32) -> RTCPSenderReport {
        let seconds = nanoseconds / 1_000_000_000, rest = nanoseconds % 1_000_000_000
        var copy = self
        copy.ntp = NTPTime(ntp.value &+ (seconds << 32) &+ (rest << 32) / 1_000_000_000)
        copy.rtpTimestamp &+= NTPTime.ticks(nanoseconds: nanoseconds, clockRate: clockRate)
        return copy
    }
}
