extension Limits {
    /// Finds a value that an engine cannot be made with: sums of it would overflow, or the kernel would refuse it.
    func check() throws(SplitterError) {
        try check("limits.streamsMax", streamsMax, 1...65_536)
        try check("limits.sourcesMax", sourcesMax, 1...1_048_576)
        try check("limits.subscribersMax", subscribersMax, 1...1_048_576)
        try check("limits.joinsPerSecondPerAddress", joinsPerSecondPerAddress, 0...1_000_000)
        try check("limits.packetLogBytesMax", packetLogBytesMax, 0...(1 << 50))
        try check("limits.windowMilliseconds", windowMilliseconds, 1...60_000)
        try check("limits.bitRateDefault", bitRateDefault, 1...10_000_000_000)
        try check("limits.queuedSendsMax", queuedSendsMax, 1...255)
        try check("limits.delayMicrosecondsMax", delayMicrosecondsMax, 0...10_000_000)
        try check("limits.interleavedBufferBytes", interleavedBufferBytes, (65_536 + 4)...(64 << 20))
        try check("limits.datagramBufferBytes", datagramBufferBytes, 2_048...(1 << 20))
        try check("limits.storedBlocks", storedBlocks, 2...4_096)
        try check("limits.storedBlockBytes", storedBlockBytes, 4_096...Limits.storedBlockBytesMax)
        guard datagramBuffers.nonzeroBitCount == 1, (1...32_768).contains(datagramBuffers) else {
            throw .argument(name: "limits.datagramBuffers", allowed: "a power of two, 1...32768")
        }
        guard writeStallNanoseconds <= Self.spanNanosecondsMax else {
            throw .argument(name: "limits.writeStallNanoseconds", allowed: "at most a day")
        }
        guard storedStallNanoseconds <= Self.spanNanosecondsMax else {
            throw .argument(name: "limits.storedStallNanoseconds", allowed: "at most a day")
        }
        guard (1_000_000...Self.spanNanosecondsMax).contains(storedWaitNanoseconds) else {
            throw .argument(name: "limits.storedWaitNanoseconds", allowed: "a millisecond to a day")
        }
        guard senderSilenceNanoseconds <= Self.spanNanosecondsMax else {
            throw .argument(name: "limits.senderSilenceNanoseconds", allowed: "at most a day")
        }
    }

    /// No span of time that is set is longer: a day.
    static var spanNanosecondsMax: UInt64 { 86_400_000_000_000 }

    private func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(SplitterError) {
        guard range.contains(value) else { throw .argument(name: name, allowed: "\(range.lowerBound)...\(range.upperBound)") }
    }
}

extension StreamConfiguration {
    func checkTracks() throws(SplitterError) {
        guard (1...tracksPerStreamMax).contains(tracks.count) else {
            throw .argument(name: "tracks", allowed: "1 to \(tracksPerStreamMax) tracks")
        }
        guard tracks.allSatisfy({ $0.clockRate > 0 }) else { throw .argument(name: "clockRate", allowed: "1 or more") }
    }

    func check() throws(SplitterError) {
        if let bitRate, !(1...10_000_000_000).contains(bitRate) {
            throw .argument(name: "bitRate", allowed: "1...10000000000 bits per second, or nil")
        }
        if let windowMilliseconds, !(1...60_000).contains(windowMilliseconds) {
            throw .argument(name: "windowMilliseconds", allowed: "1...60000, or nil")
        }
        try policy.check()
    }
}

extension StreamPolicy {
    fileprivate func check() throws(SplitterError) {
        if case .fixed(let bitsPerSecond) = pacing, !(1_000...1_000_000_000_000).contains(bitsPerSecond) {
            throw .argument(name: "policy.pacing", allowed: "a fixed pace of 1000...1000000000000 bits per second, adaptive, or off")
        }
        if let joinBurst {
            guard (11...1_000).contains(joinBurst.speedTenths) else {
                throw .argument(name: "policy.joinBurst.speedTenths", allowed: "11...1000 (1.1 to 100 times the stream's speed)")
            }
        }
        guard collectNanoseconds <= 1_000_000_000 else { throw .argument(name: "policy.collectNanoseconds", allowed: "at most a second") }
        try overload.check("policy.overload")
    }
}

extension OverloadPolicy {
    func check(_ name: String) throws(SplitterError) {
        if case .disconnect(let span) = self, span > Limits.spanNanosecondsMax {
            throw .argument(name: name, allowed: "a disconnect after at most a day")
        }
    }
}
