import Glibc
import NIOCore
import PlaneLink

/// Carries the tracks that no program changes from the source's stream to the one that is served, untouched: packets of any size, and the
/// sender reports, in their order. One connection within the process, which the engine writes and reads.
final class PassedTracks {
    private let reader: Subscription
    private let source: EngineSource

    /// Begins with the next packet. `failed` is called when the engine gives up. Throws what the user should know.
    init(
        _ tracks: [Int], from hidden: StreamDescription, to served: StreamDescription, port: EnginePort, failed: @escaping (String) -> Void
    ) throws {
        var channels = ChannelMap()
        for track in tracks {
            for channel in [2 * track, 2 * track + 1] { channels[channel] = UInt8(truncatingIfNeeded: channel) }
        }
        let pipe = try LoopbackPipe()
        let prefix = LinkBuffer([])
        do {
            source = try EngineSource(port: port, release: { close(pipe.source) }) { handle in
                .addInterleavedSource(handle, served.stream, descriptor: pipe.source, channels: channels, prefix: prefix)
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
