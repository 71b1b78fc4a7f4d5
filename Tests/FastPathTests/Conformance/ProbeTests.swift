import CForbidding
import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// What is chosen where calls are forbidden, and why: with real refusals, on threads of their own.
@Suite(.serialized) struct ProbeTests {
    /// A place where something is forbidden.
    struct Place: Sendable, CustomTestStringConvertible {
        let name: String
        let rules: [forbidding_rule]
        let backend: BackendName
        /// What the reason must name.
        let words: [String]
        var testDescription: String { name }

        init(_ name: String, _ rules: [forbidding_rule], _ backend: BackendName, _ words: [String]) {
            self.name = name
            self.rules = rules
            self.backend = backend
            self.words = words
        }
    }

    private static let noRing = rule(FORBIDDING_RING_SETUP, EPERM)
    private static let noSegment = rule(setting: 103, level: 17, ENOPROTOOPT)

    static let places = [
        Place("nothing is forbidden", [], .ioUring, ["works here"]),
        Place("a container", [noRing], .epoll, ["io_uring", "EPERM", "seccomp", "allow io_uring_setup"]),
        Place("no rings at all", [rule(FORBIDDING_RING_SETUP, ENOSYS)], .epoll, ["ENOSYS", "Linux 6.1"]),
        Place("rings that cannot be entered", [rule(FORBIDDING_RING_ENTER, EPERM)], .epoll, ["io_uring_enter", "EPERM", "allow it"]),
        Place("rings without registration", [rule(FORBIDDING_RING_REGISTER, EPERM)], .epoll, ["io_uring"]),
        Place("rings, but no trains", [noSegment], .ioUring, ["UDP_SEGMENT", "one packet a message"]),
        Place("no batches of sends", [noRing, rule(FORBIDDING_SENDMMSG, EPERM)], .plain, ["EPERM", "sendmmsg", "seccomp"]),
        Place("no batches of receives", [noRing, rule(FORBIDDING_RECVMMSG, ENOSYS)], .plain, ["recvmmsg", "ENOSYS"]),
        Place("neither rings nor trains", [noRing, noSegment], .plain, ["UDP_SEGMENT", "EPERM"]),
    ]

    @Test("The first backend that works is chosen, its reason names what is missing, and media flows", arguments: places)
    func chosen(place: Place) throws {
        let result = onForbiddenThread(place.rules) {
            let bench = try Bench(backend: nil, codec: .opaque)
            let source = bench.addFed()
            let socket = TestSocket(datagram: ())
            let isJoined = bench.join(bench.addReader(0, socket)) != nil
            var got: [UInt16] = []
            if isJoined {
                let packets = (0..<20).map { rtp(sequence: UInt16($0), timestamp: 0, marker: $0 == 19, payload: idr(900)) }
                bench.feed(source, packets.flatMap { framed(0, $0) })
                while got.count < 20, let packet = socket.receive() { got.append(sequence(packet)) }
            }
            return (bench.engine.backend, got, bench.stop())
        }
        let (choice, got, leaks) = try result.get()
        #expect(choice.name == place.backend.rawValue)
        for word in place.words { #expect(choice.reason.contains(word), "\(choice.reason)") }
        #expect(got == Array(0..<20))
        #expect(leaks == 0)
    }

    private func refusal(_ rules: [forbidding_rule], _ options: EngineOptions) throws -> String? {
        try onForbiddenThread(rules) {
            do {
                let engine = try Engine(options: options)
                _ = engine.submit(.shutdown)
                engine.wake()
                return nil as String?
            } catch { return "\(error)" }
        }.get()
    }

    @Test("io_uring required and forbidden: an error that says why, what to do, and how to go on without")
    func required() throws {
        var options = EngineOptions()
        options.requireIOUring = true
        let words = try #require(try refusal([Self.noRing], options))
        for word in ["io_uring", "EPERM", "allow io_uring_setup", "--require-io-uring"] { #expect(words.contains(word), "\(words)") }
        #expect(try refusal([], options) == nil)
        options.backend = .epoll
        #expect(try refusal([], options)?.contains("leave one out") == true)
    }

    @Test("A backend that was asked for and does not work is an error, not another backend", arguments: BackendName.allCases)
    func askedFor(backend: BackendName) throws {
        let options = EngineOptions(backend: backend)
        #expect(try refusal([], options) == nil)
        let rules = [Self.noRing, rule(FORBIDDING_SENDMMSG, EPERM), rule(FORBIDDING_SENDMSG, EPERM)]
        let words = try #require(try refusal(rules, options))
        #expect(words.contains("backend \(backend.rawValue) cannot be used") && words.contains("EPERM"), "\(words)")
        #expect(words.contains("leave the backend to Weir"), "\(words)")
    }

    @Test("Nothing works: the error names what each backend lacks")
    func nothing() throws {
        let words = try #require(try refusal([Self.noRing, rule(FORBIDDING_EPOLL_CREATE, EPERM)], EngineOptions()))
        for word in ["io_uring cannot be used", "epoll cannot be used", "backend plain cannot be used", "allow epoll"] {
            #expect(words.contains(word), "\(words)")
        }
    }

    @Test("Where loopback is down the rest is tried, and the backend is taken")
    func withoutLoopback() throws {
        // No datagram goes over here, whatever is sent: the bare try says so, and no backend is blamed.
        let result = onForbiddenThread([rule(FORBIDDING_BIND, EADDRNOTAVAIL)]) {
            try (ProbeSockets()?.datagrams == nil, BackendProbe.run(.ioUring).cutsTrains, BackendProbe.run(.epoll).cutsTrains)
        }
        let (isDown, ring, epoll) = try result.get()
        #expect(isDown && ring && epoll)
    }

    @Test("A probe, passed or not, leaves no descriptor open")
    func leavesNothing() async {
        await #expect(processExitsWith: .success) {
            // Kinds that a probe makes; the runtime and the tests' own thread open others.
            func open() -> Int {
                (0..<256).count { number in
                    guard let name = unsafe malloc(64) else { return false }
                    defer { unsafe free(name) }
                    let count = unsafe readlink("/proc/self/fd/\(number)", name.assumingMemoryBound(to: CChar.self), 64)
                    let text = unsafe String(decoding: UnsafeRawBufferPointer(start: name, count: max(count, 0)), as: UTF8.self)
                    return ["io_uring", "eventpoll", "eventfd", "socket"].contains { text.contains($0) }
                }
            }
            let before = open()
            for isForbidden in [false, true] {
                let rules =
                    isForbidden
                    ? [rule(FORBIDDING_RING_ENTER, EPERM), rule(FORBIDDING_SENDMMSG, EPERM), rule(FORBIDDING_SENDMSG, EPERM)] : []
                for backend in BackendName.allCases {
                    let isRefused = (try? onForbiddenThread(rules) { try BackendProbe.run(backend) }.get()) == nil
                    precondition(isRefused == isForbidden, "\(backend)")
                }
            }
            precondition(open() == before, "\(before) descriptors were open, now \(open()) are")
        }
    }

    @Test("Every refusal names a remedy")
    func remedies() {
        let numbers = [EPERM, EACCES, ENOSYS, ENOMEM, EINVAL, EMFILE, EIO]
        var refusals: [BackendRefusal] = [.memory, .trains(0), .silent("a datagram")]
        for number in numbers {
            refusals += [.ring(number), .buffers(number), .epoll(number), .call("sendmmsg", number), .trains(number)]
        }
        for refusal in refusals {
            let words = refusal.description
            let remedies = ["allow ", "use ", "raise ", "lower ", "set it to"]
            #expect(remedies.contains { words.contains($0) }, "\(words)")
        }
    }
}
