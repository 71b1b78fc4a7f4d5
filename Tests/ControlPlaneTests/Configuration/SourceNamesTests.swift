import Testing

@testable import ControlPlane

@Suite struct SourceNamesTests {
    @Test(
        arguments: [
            (1, [], nil, ["stream"]), (3, [], nil, ["stream-1", "stream-2", "stream-3"]), (1, [], .live555, ["proxyStream"]),
            (2, [], .live555, ["proxyStream-1", "proxyStream-2"]), (2, [], .stream, ["stream-1", "stream-2"]),
            (2, ["door", "yard/one"], nil, ["door", "yard/one"]),
        ] as [(Int, [String], SourceNames.Scheme?, [String])])
    func areGivenOrMadeUp(count: Int, given: [String], scheme: SourceNames.Scheme?, names: [String]) throws {
        #expect(try SourceNames.names(count: count, given: given, scheme: scheme) == names)
    }

    @Test(
        arguments: [
            (2, ["door"], nil, "2 sources and 1 name;"), (1, ["a", "b"], nil, "1 source and 2 names;"),
            (2, ["door", "/door/"], nil, "two sources cannot both be /door"), (1, ["door"], .live555, "exclude each other"),
            (2_000, [], nil, "more than 1024"),
        ] as [(Int, [String], SourceNames.Scheme?, String)])
    func areRefusedInWords(count: Int, given: [String], scheme: SourceNames.Scheme?, words: String) {
        let problem = #expect(throws: ValueProblem.self) { try SourceNames.names(count: count, given: given, scheme: scheme) }
        #expect(problem?.text.contains(words) == true, "\(problem?.text ?? "")")
    }

    @Test func anUnknownSchemeIsRefused() {
        let problem = #expect(throws: ValueProblem.self) { try SourceNames.Scheme(parsing: "life555") }
        #expect(problem?.text.contains("did you mean `live555`?") == true)
    }
}
