import Glibc
import NIOCore
import PlaneLink

/// One track of the stream that is served, as long as it is the same one.
struct ServedTrack: Equatable {
    let stream: StreamHandle
    let number: Int
    let ssrc: UInt32
}

/// Carries the tracks that no program changes from the source's stream to the one that is served, untouched: packets of any size, and the
/// sender reports, in their order. One connection within the process, which the engine writes and reads.
final class PassedTracks {
    /// A track of the source's stream, and where it goes.
    struct Pair: Equatable {
        let from: Int
        let to: ServedTrack
    }

    let pairs: [Pair]
    private let reader: Subscription
    private let source: EngineSource

    /// Begins with the next packet. `failed` is called when the engine gives up. Throws what the user should know.
    init(
        _ pairs: [Pair], from hidden: StreamDescription, to served: StreamDescription, port: EnginePort, failed: @escaping (String) -> Void
    ) throws {
        self.pairs = pairs
        // On the wire as the source's stream numbers them.
        var channels = ChannelMap()
        var targets = ChannelMap()
        for pair in pairs {
            for part in 0..<2 {
                let wire = UInt8(truncatingIfNeeded: 2 * pair.from + part)
                channels[2 * pair.from + part] = wire
                targets[2 * pair.to.number + part] = wire
            }
        }
        let pipe = try LoopbackPipe()
        let prefix = LinkBuffer([])
        do {
            source = try EngineSource(port: port, release: { close(pipe.source) }) { handle in
                .addInterleavedSource(handle, served.stream, descriptor: pipe.source, channels: targets, prefix: prefix)
            }
        } catch {
            prefix.free()
            close(pipe.reader)
            throw error
        }
        do {
            reader = try .interleaved(port: port, stream: hidden.stream, descriptor: pipe.reader, channels: channels)
        } catch {
            source.remove()
            throw error
        }
        source.onEnded = { _ in failed("the connection within the relay ended") }
        reader.onFailed = { failed("the engine gave the passed tracks up (\($0))") }
        reader.onJoined = { [weak reader] _ in _ = reader?.go() }
        guard reader.arm(now: true) else {
            end()
            throw EnginePort.Refusal.queueFull
        }
    }

    /// Carries no more.
    func end() {
        source.remove()
        reader.remove()
    }
}
