import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import ControlPlane

@Suite(.serialized) struct ControlSocketTests {
    /// A folder of its own for each test.
    private final class Folder {
        let path: String
        init() {
            path = "/tmp/weir-test-\(UInt64.random(in: 0...UInt64.max))"
            _ = unsafe mkdir(path, 0o700)
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private func mode(_ path: String) -> mode_t? {
        var info = stat()
        return unsafe lstat(path, &info) == 0 ? info.st_mode & 0o7777 : nil
    }

    private static let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func server(_ path: String, idleSeconds: Int64 = 60) throws -> ControlServer {
        try ControlServer(path: path, idleSeconds: idleSeconds) { request, _ in
            Self.loop.submit {
                if request.command == "huge" {
                    var overview = Overview()
                    overview.program.version = String(repeating: "x", count: ControlServer.answerBytesMax)
                    return ControlAnswer(status: overview)
                }
                if request.command == "fail" { throw ChannelError.ioOnClosedChannel }
                var overview = Overview()
                overview.program.version = request.line
                return ControlAnswer(status: overview)
            }
        }
    }

    // MARK: The file

    @Test func theFileIsForItsOwnerAloneAndGoesAway() throws {
        let folder = Folder()
        let path = folder.path + "/1.sock"
        let old = umask(0)
        defer { umask(old) }
        let server = try server(path)
        #expect(mode(path) == 0o600)
        #expect(try ControlClient(path: path).status(readers: 3).program.version == "weir/1 status readers=3")
        server.stop()
        #expect(mode(path) == nil)
    }

    @Test func aDeadProcessesFileIsReplacedALivingOnesIsNot() throws {
        let folder = Folder()
        let path = folder.path + "/1.sock"
        let dead = try ControlSocketFile(binding: path)
        close(dead.descriptor)
        #expect(mode(path) == 0o600)
        usleep(30_000)  // The next file must have another time.
        let first = try server(path)
        let error = #expect(throws: ControlPlace.Trouble.self) { try server(path) }
        #expect(error?.description.contains("another relay answers at \(path)") == true)
        // The one that was replaced does not take the new file with it.
        dead.remove()
        #expect(try ControlClient(path: path).status().schema == Overview.schema)
        first.stop()
        #expect(mode(path) == nil)
    }

    @Test func whatIsNoSocketStays() throws {
        let folder = Folder()
        let path = folder.path + "/1.sock", target = folder.path + "/target"
        for make in [
            { FileManager.default.createFile(atPath: path, contents: Data("mine".utf8)) },
            { (try? FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)) != nil },
        ] {
            #expect(make())
            let error = #expect(throws: ControlPlace.Trouble.self) { try server(path) }
            #expect(error?.description.contains("is there and no control socket of yours") == true)
            #expect(mode(path) != nil && mode(target) == nil)
            try FileManager.default.removeItem(atPath: path)
        }
        #expect(throws: ControlPlace.Trouble.self) { try server(folder.path + "/nowhere/1.sock") }
        #expect(throws: ControlPlace.Trouble.self) { try server(folder.path + "/" + String(repeating: "x", count: 200)) }
        #expect(throws: ControlPlace.Trouble.self) { try server("") }
    }

    @Test func theFolderMustBeTheUsersOwn() throws {
        let folder = Folder()
        let environment = ["XDG_RUNTIME_DIR": folder.path]
        let path = try ControlPlace.path(port: 8_554, environment: environment)
        #expect(path == folder.path + "/weir/8554.sock")
        #expect(mode(folder.path + "/weir") == 0o700)
        #expect(!ControlPlace.sockets(environment: environment).contains(path))
        let server = try server(path)
        #expect(ControlPlace.sockets(environment: environment).contains(path))
        // Open to others: neither used nor looked into.
        #expect(unsafe chmod(folder.path + "/weir", 0o755) == 0)
        #expect(throws: ControlPlace.Trouble.self) { try ControlPlace.check(folder.path + "/weir") }
        #expect(!ControlPlace.sockets(environment: environment).contains(path))
        server.stop()
        // A link to a folder is no folder, even to one of this user.
        try FileManager.default.removeItem(atPath: folder.path + "/weir")
        try FileManager.default.createDirectory(
            atPath: folder.path + "/real", withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/weir", withDestinationPath: folder.path + "/real")
        let error = #expect(throws: ControlPlace.Trouble.self) { try ControlPlace.check(folder.path + "/weir") }
        #expect(error?.description.contains("is no directory") == true)
        #expect(ControlPlace.folders(["XDG_RUNTIME_DIR": "relative"]).allSatisfy { $0.hasPrefix("/") })
    }

    // MARK: The protocol

    /// What a client that is not ours says and hears, until the server closes or `lines` came.
    private func talk(_ path: String, _ text: String, lines: Int = .max) -> [String] {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard unsafe ControlClient.withAddress(path, { unsafe connect(descriptor, $0, $1) }) == 0 else { return [] }
        let bytes = Array(text.utf8)
        _ = unsafe send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
        var heard: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while heard.count(where: { $0 == 10 }) < lines {
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            heard += buffer[..<count]
        }
        return String(decoding: heard, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func code(_ line: String?) throws -> String? {
        try ControlJSON.value(ControlAnswer.self, of: try #require(line)).error?.code
    }

    @Test func requestsAreAnsweredInTheirOrder() throws {
        let folder = Folder()
        let server = try server(folder.path + "/s")
        defer { server.stop() }
        let heard = talk(server.path, "weir/1 status a=1\r\nweir/1 status a=2\nnonsense\nweir/1 fail\nweir/1 huge\n", lines: 5)
        #expect(heard.count == 5)
        #expect(try ControlJSON.value(ControlAnswer.self, of: heard[0]).status?.program.version == "weir/1 status a=1")
        #expect(try ControlJSON.value(ControlAnswer.self, of: heard[1]).status?.program.version == "weir/1 status a=2")
        #expect(try heard.dropFirst(2).map { try code($0) } == ["version", "stopping", "answer_too_long"])
    }

    @Test func aRequestWithoutEndIsCutOff() throws {
        let folder = Folder()
        let server = try server(folder.path + "/s")
        defer { server.stop() }
        let heard = talk(server.path, "weir/1 " + String(repeating: "x", count: 100_000))
        #expect(heard.count == 1)
        #expect(try code(heard.first) == "request_too_long")
    }

    @Test func connectionsAreCountedAndIdleOnesEnd() throws {
        let folder = Folder()
        let server = try server(folder.path + "/s", idleSeconds: 3)
        defer { server.stop() }
        let clients = try (0..<ControlServer.connectionsMax).map { _ in try ControlClient(path: server.path) }
        // Each has been taken when it was answered.
        for client in clients { _ = try client.status() }
        let error = #expect(throws: ControlAnswer.Trouble.self) { try ControlClient(path: server.path).status() }
        #expect(error?.code == "busy")
        usleep(4_000_000)
        #expect(throws: ControlClient.Trouble.self) { try clients[0].status() }
        #expect(try ControlClient(path: server.path).status().schema == Overview.schema)
    }
}
