// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath
import Glibc

@c @implementation public func fp_sender_open(
    _ engine: OpaquePointer?, _ local: UnsafePointer<sockaddr>?, _ local_length: socklen_t, _ sender: UnsafeMutablePointer<fp_sender>?
) -> Int32 {
    unsafe add(engine, sender) { box throws in
        let (host, port) = try unsafe hostAndPort(local, local_length, "local")
        return try box.splitter.openDatagramSender(rtpPort: port, host: host)
    }
}

@c @implementation public func fp_sender_open_multicast(
    _ engine: OpaquePointer?, _ family: Int32, _ interface_name: UnsafePointer<CChar>?, _ ttl: UInt32, _ loop: Int32,
    _ sender: UnsafeMutablePointer<fp_sender>?
) -> Int32 {
    unsafe add(engine, sender) { box throws in
        guard family == AF_INET || family == AF_INET6 else { throw Failure(argument: "family must be AF_INET or AF_INET6") }
        guard let hops = UInt8(exactly: ttl == 0 ? 16 : ttl) else { throw Failure(argument: "ttl is \(ttl), and must be 1 to 255") }
        return try box.splitter.addMulticastSender(
            isIPv6: family == AF_INET6, interface: unsafe string(interface_name), timeToLive: hops, loops: loop != 0)
    }
}

@c @implementation public func fp_sender_add(
    _ engine: OpaquePointer?, _ rtp_descriptor: Int32, _ rtcp_descriptor: Int32, _ sender: UnsafeMutablePointer<fp_sender>?
) -> Int32 {
    unsafe add(engine, sender) { box throws in try box.splitter.addDatagramSender(rtp: rtp_descriptor, rtcp: rtcp_descriptor) }
}

@c @implementation public func fp_sender_port(
    _ engine: OpaquePointer?, _ sender: fp_sender, _ rtp_port: UnsafeMutablePointer<UInt16>?
) -> Int32 {
    unsafe call(engine) { box throws in
        let place = try unsafe required(rtp_port, "rtp_port")
        guard let port = box.splitter.rtpPort(of: try senderID(sender)) else { throw Failure(FP_ERROR_STALE, "the sender is gone") }
        unsafe place.pointee = port
    }
}

@c @implementation public func fp_sender_remove(_ engine: OpaquePointer?, _ sender: fp_sender) -> Int32 {
    unsafe call(engine) { box throws in try box.splitter.removeSender(try senderID(sender)) }
}

@unsafe private func add(
    _ engine: OpaquePointer?, _ sender: UnsafeMutablePointer<fp_sender>?, _ make: (EngineBox) throws -> SenderID
) -> Int32 {
    unsafe call(engine) { box throws in
        let place = try unsafe required(sender, "sender")
        let id = inC(try make(box))
        box.began(id)
        unsafe place.pointee = id
    }
}
