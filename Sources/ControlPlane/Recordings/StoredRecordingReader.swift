import Signalling
import WireFormats

/// Reads what is to be known of a recording that is kept: its head, and the index at its end. Belongs to the event loop.
enum StoredRecordingReader {
    /// Bytes that are asked for at once.
    private static let blockBytes: UInt64 = 256 << 10

    /// `done` gets the recording, or nil where what is kept is none, or not of these tracks.
    static func read(_ stored: StoredRecording, _ selection: TrackSelection, _ done: @escaping (Recording?) -> Void) {
        guard let head = try? RecordingHead(stored.head), stored.byteCount > UInt64(RecordingIndex.trailerByteCount),
            let tracks = Recording.tracks(of: head.description, selection), tracks.map(\.media) == head.tracks.map(\.media),
            tracks.map(\.clockRate) == head.tracks.map(\.clockRate)
        else { return done(nil) }
        let count = stored.byteCount
        bytes(of: stored.storage, from: count - UInt64(RecordingIndex.trailerByteCount), to: count) { trailer in
            guard let trailer, let own = try? RecordingIndex.byteCount(trailer: trailer, of: count) else { return done(nil) }
            let packets = count - UInt64(own)
            bytes(of: stored.storage, from: packets, to: count) { bytes in
                guard let bytes, let index = try? RecordingIndex(bytes, behind: packets), !index.entries.isEmpty else { return done(nil) }
                done(
                    Recording(
                        head, stored.words, tracks: tracks, index: index, bytesOfPackets: packets,
                        log: RecordingLog(storage: stored.storage, byteCount: count)))
            }
        }
    }

    private static func bytes(
        of storage: any RecordingStorage, from start: UInt64, to end: UInt64, before: [UInt8] = [], _ done: @escaping ([UInt8]?) -> Void
    ) {
        guard start < end else { return done(before) }
        storage.read(start..<min(end, start + blockBytes)) { result in
            guard case .success(let bytes) = result, !bytes.isEmpty else { return done(nil) }
            self.bytes(of: storage, from: start + UInt64(bytes.count), to: end, before: before + bytes, done)
        }
    }
}
