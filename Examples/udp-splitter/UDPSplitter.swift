import FastPath
@preconcurrency import Glibc

let help = """
    usage: udp-splitter PORT READERS

    Receives RTP on UDP port PORT (RTCP on the next one) and sends it to the readers in the file READERS: one HOST:PORT
    a line (numeric; [2001:db8::7]:5004 for IPv6), RTCP to the next port; # begins a comment. The file may change at any
    time: readers come and go as their lines do. Ends with SIGINT or SIGTERM.
    """

nonisolated(unsafe) var isInterrupted: sig_atomic_t = 0
@main struct UDPSplitter {
    let splitter: Splitter, stream: StreamHandle, sender: SenderID
    var readers: [String: SubscriberHandle] = [:], seen = ""

    static func main() {
        setvbuf(stdout, nil, _IOLBF, 0)
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.contains("--help") || arguments.contains("-h") { return print(help) }
        guard arguments.count == 2, let port = arguments.first.flatMap({ UInt16($0) }), port > 0, port < .max, let file = arguments.last
        else { fail("two arguments are needed, a port (1...65534) and a file\n\n\(help)") }
        do {
            var program = try UDPSplitter(port: port)
            program.run(file)
        } catch { fail("\(error)") }
    }

    // [begin: setup]
    init(port: UInt16) throws(SplitterError) {
        splitter = try Splitter(options: EngineOptions(workers: max(Processors.usable, 1)))
        // What the codec is matters for key frames alone: `opaque` lets readers begin at any packet.
        let track = TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: .random(in: 1 ... .max))
        stream = try splitter.addStream(StreamConfiguration(tracks: [track]))
        _ = try splitter.openDatagramSource(stream, port: port, channel: 0)
        _ = try splitter.openDatagramSource(stream, port: port + 1, channel: 1)
        sender = try splitter.openDatagramSender()
        print("port \(port) is split on \(splitter.backend.name); readers are sent from port \(splitter.rtpPort(of: sender) ?? 0)")
    }

    // [begin: loop]
    mutating func run(_ file: String) {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in isInterrupted = 1 } }
        while true {
            if isInterrupted != 0 { splitter.shutdown() } else { follow(file) }
            splitter.flush()
            var poller = pollfd(fd: splitter.eventDescriptor, events: Int16(POLLIN), revents: 0)
            poll(&poller, 1, 200)
            while let event = splitter.nextEvent() {
                if case .stopped = event { return }
                if case .readerLagged(let reader, let cause, let packets) = event {
                    print("\(readers.first { $0.value == reader }?.key ?? "a reader") missed \(packets) packets: \(cause)")
                }
            }
        }
    }

    // [begin: readers]
    mutating func follow(_ file: String) {
        guard let text = contents(of: file), text != seen else { return }
        seen = text
        let lines = text.split(whereSeparator: \.isNewline).map { $0.prefix { $0 != "#" }.filter { !$0.isWhitespace } }
        let wanted = Set(lines.filter { !$0.isEmpty })
        for (name, reader) in readers where !wanted.contains(name) {
            try? splitter.removeReader(reader)
            readers[name] = nil
            print("- \(name)")
        }
        for name in wanted.subtracting(readers.keys).sorted() {
            guard let colon = name.lastIndex(of: ":"), let port = UInt16(name[name.index(after: colon)...]), port > 0, port < .max,
                let host = HostAddress(parsing: name[..<colon].filter { $0 != "[" && $0 != "]" })
            else {
                print("! `\(name)` is no HOST:PORT with a numeric host and a port of 1...65534")
                continue
            }
            var ports = PortMap()
            ports[0] = port
            ports[1] = port + 1
            do {
                readers[name] = try splitter.addDatagramReader(stream, host: host, ports: ports, sender: sender, begin: .now)
                print("+ \(name)")
            } catch { print("! \(name): \(error)") }
        }
    }
    // [end: readers]
}

func fail(_ words: String) -> Never {
    fputs("udp-splitter: \(words)\n", stderr)
    exit(1)
}

func contents(of file: String) -> String? {
    guard let stream = fopen(file, "r") else { return nil }  // An editor may be replacing it.
    defer { fclose(stream) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, stream)
    return String(decoding: bytes[..<count], as: UTF8.self)
}
