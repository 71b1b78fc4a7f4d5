import Testing

@testable import WireFormats

@Suite struct NameExpressionTests {
    /// Expression, name, what the groups match (nil in all: no match), as RE2 has it.
    @Test(
        arguments: [
            ("^cam-(\\d+)$", "cam-17", ["cam-17", "17"]), ("^cam-(\\d+)$", "cam-", nil), ("^cam-(\\d+)$", "xcam-17", nil),
            ("^cam-(\\d+)$", "cam-17x", nil), ("cam", "a/cam/b", ["cam"]), ("", "x", [""]), ("^$", "x", nil),
            ("(a|ab)(c|bcd)(d*)", "abcd", ["abcd", "a", "bcd", ""]), ("^(.+)/(.+)$", "a/b/c", ["a/b/c", "a/b", "c"]),
            ("^(.+?)/(.+)$", "a/b/c", ["a/b/c", "a", "b/c"]), ("x*", "aaa", [""]), ("(x)?y", "y", ["y", nil]),
            ("^[a-c_-]{2,3}$", "a-_", ["a-_"]), ("^[a-c_-]{2,3}$", "abca", nil), ("^[^/]+$", "a/b", nil), ("^[]x]+$", "]x]", ["]x]"]),
            ("^[\\w.]+$", "A_9.z", ["A_9.z"]), ("^\\W$", "-", ["-"]), ("^[^\\d]+$", "a1", nil), ("(?i)^cam$", "CaM", ["CaM"]),
            ("^a{2}$", "aa", ["aa"]), ("^a{2,}$", "aaaa", ["aaaa"]), ("^a{0}b$", "b", ["b"]), ("^a{x}$", "a{x}", ["a{x}"]),
            ("\\Aab\\z", "ab", ["ab"]), ("^(?:ab)+$", "ababab", ["ababab"]), ("^(ab|c)+$", "abcab", ["abcab", "ab"]),
            ("^(?<room>[a-z]+)-(?P<n>\\d)$", "hall-3", ["hall-3", "hall", "3"]), ("a|b|", "c", [""]), ("(?:)*x", "x", ["x"]),
            ("^(a*)*$", "aaa", ["aaa", ""]), ("^\\.\\$\\[$", ".$[", [".$["]),
        ] as [(String, String, [String?]?)])
    func matches(text: String, name: String, groups: [String?]?) throws {
        let match = try NameExpression(text).match(name)
        // Where a group repeats and ends with nothing, engines differ; only the whole counts then.
        if text == "^(a*)*$" { return #expect(match?.first == groups?.first) }
        #expect(match == groups, "\(text) on \(name): \(String(describing: match))")
    }

    @Test(arguments: [
        ("(", "a ( without its )"), ("a)", "a ) without its ("), ("[a", "a [ without its ]"), ("*a", "nothing stands before"),
        ("a**", "one repetition behind another"), ("(?=a)", "look-around"), ("(?!a)b", "look-around"), ("(a)\\1", "references back"),
        ("a\\", "nothing stands behind"), ("\\q", "\\q is not known"), ("[[:alpha:]]", "write a-zA-Z"), ("[z-a]", "goes backwards"),
        ("a{3,2}", "n up to m"), ("a{999}", "n up to m"), ("é", "not printable ASCII"), ("^*", "cannot be repeated"),
        ("(?<a>x)(?<a>y)", "called `a` already"), ("(?<1a>x)", "(?<name>…)"), ("((x{99}){99}){99}", "repeat less"),
        ("(?:(?:(?:(?:){256}){256}){256}){256}", "repeat less"),
        (String(repeating: "(", count: 16) + String(repeating: ")", count: 16), "15 groups"),
        (String(repeating: "(?:", count: 40) + String(repeating: ")", count: 40), "groups within groups"),
        (String(repeating: "a", count: 513), "longer than 512"),
    ])
    func refusesInWords(text: String, words: String) {
        let trouble = #expect(throws: NameExpression.Trouble.self) { try NameExpression(text) }
        #expect(trouble?.description.contains(words) == true, "\(trouble?.description ?? "")")
    }

    @Test func namesItsGroups() throws {
        let expression = try NameExpression("^(x)(?<room>a)(?:b)(?P<n>c)$")
        #expect(expression.groupCount == 3 && expression.groupNames == ["room": 2, "n": 3])
    }

    /// Those that take other engines until the end of the world.
    @Test(arguments: ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*)*x$", "^(?:(?:a*)*)*b", "(\\w*\\w*\\w*\\w*)*!", "^(a?){100}a{100}$"])
    func noNameIsSlow(text: String) throws {
        let expression = try NameExpression(text)
        let name = String(repeating: "a", count: 255) + "?"
        let clock = ContinuousClock()
        let time = clock.measure { #expect(expression.match(name) == nil || text.first == "(") }
        #expect(time < .seconds(2), "\(text) took \(time)")
    }

    @Test func namesThatAreTooLongMatchNothing() throws {
        #expect(try NameExpression(".*").match(String(repeating: "a", count: 257)) == nil)
    }
}
