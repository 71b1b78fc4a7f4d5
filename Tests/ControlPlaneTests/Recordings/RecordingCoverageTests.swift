import Testing

@testable import ControlPlane

@Suite struct RecordingCoverageTests {
    /// Ten seconds of a picture, a sound and a text.
    static func trouble(_ times: [[Int64]], goodbyes: [Bool] = [false, false, false], isSilent: Bool = false) -> String? {
        var coverage = RecordingCoverage(microseconds: 10_000_000, kinds: ["video", "audio", "application"])
        for (track, times) in times.enumerated() {
            for time in times { coverage.take(track, at: time * 1_000) }
        }
        return coverage.trouble(goodbyes: goodbyes, isSilent: isSilent)
    }

    @Test func whatIsWhole() {
        #expect(Self.trouble([[0, 9_960], [-20, 9_980], []]) == nil)
        #expect(Self.trouble([[0, 9_960], [0, 11_000], [4_000]]) == nil)
        // The origin said that there is no more of it.
        #expect(Self.trouble([[0, 6_000], [0, 9_980], []], goodbyes: [true, false, false]) == nil)
        // It did not say so: it is there, and sends nothing more.
        #expect(Self.trouble([[0, 6_000], [0, 9_980], []], isSilent: true) == nil)
    }

    /// That nothing comes says nothing where no track has come to the end, or one has not begun.
    @Test func silenceIsNotAlwaysTheEnd() {
        #expect(Self.trouble([[0, 6_000], [0, 8_000], []], isSilent: true) == "the end is missing")
        #expect(Self.trouble([[], [0, 9_980], []], isSilent: true) == "nothing came of video")
        #expect(Self.trouble([[5_000, 6_000], [0, 9_980], []], isSilent: true) == "the beginning of video is missing")
    }

    @Test(
        arguments: [
            ([[0, 5_000], [0, 5_000], []], "the end is missing"),
            ([[0, 6_000], [0, 9_980], []], "the end of video is missing"),
            ([[5_000, 9_960], [5_000, 9_980], []], "the beginning of video is missing"),
            ([[0, 9_960], [], []], "nothing came of audio"),
            // Timestamps that are not those of the media's beginning.
            ([[10_800_000, 10_802_000], [0, 2_000], []], "there are packets of a time behind the media's end"),
            ([[], [], []], "the end is missing"),
        ] as [([[Int64]], String)])
    func whatIsNot(times: [[Int64]], words: String) { #expect(Self.trouble(times) == words) }

    @Test func askingForTheRestComesToAnEnd() {
        var progress = ReplayProgress()
        var answers: [Bool] = []
        for place in [58_000_000, 58_000_000] as [Int64] { answers.append(progress.goesOn(from: place)) }
        #expect(answers == [true, false])
        progress = ReplayProgress()
        answers = []
        for place in [8_000_000, 20_000_000, 58_000_000, 58_400_000] as [Int64] { answers.append(progress.goesOn(from: place)) }
        #expect(answers == [true, true, true, false])
    }
}
