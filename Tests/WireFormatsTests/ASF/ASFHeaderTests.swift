import Testing

@testable import WireFormats

struct ASFHeaderTests {
    @Test func readsTheSample() throws {
        let header = try ASFHeader(ASFSample.file)
        #expect(header.bytes == ASFSample.header)
        #expect(header.packetBytes == 128)
        #expect(header.file.fileBytes == 582 && header.file.packetCount == 2 && header.file.bitrateMax == 6_400)
        #expect(header.file.playDuration == 12_000_000 && header.file.sendDuration == 2_000_000)
        #expect(header.file.prerollMilliseconds == 1_000 && header.file.contentMilliseconds == 200)
        #expect(header.file.isSeekable && !header.file.isBroadcast)
        #expect(header.file.fileID.bytes == Array(0...15) && header.data.fileID == header.file.fileID)
        #expect(header.data.byteCount == 306 && header.data.packetCount == 2)
        #expect(
            header.objects.map { [$0.offset, $0.byteCount] } == [[30, 104], [0x86, 46], [0xB4, 96]]
                && header.objects.map(\.guid) == [.fileProperties, .headerExtension, .streamProperties])
        let stream = try #require(header.stream(1))
        #expect(header.streams.count == 1 && stream.kind == .audio && !stream.isEncrypted && !stream.hasKeyFrames && !stream.isHidden)
        #expect(stream.audio?.codec == 1 && stream.audio?.sampleRate == 800 && stream.audio?.channels == 1)
        #expect(stream.codecName == "PCM" && stream.bitrate == 6_400 && header.bitrate(of: .all) == 6_400)
        #expect(header.flaws.isEmpty && !header.isProtected && header.keyFrameStreams.isEmpty)
    }

    @Test func saysHowMuchItNeeds() throws {
        let sample = ASFSample.header
        for count in 0...sample.count {
            let need = try ASFHeader.bytesNeeded(Array(sample[..<count]))
            #expect(need == (count < 24 ? 24 : 326))
            guard count < 326 else { continue }
            #expect(throws: ASFHeaderError.tooShort(have: count, need: need)) { try ASFHeader(Array(sample[..<count])) }
        }
        #expect(throws: ASFHeaderError.tooLong(bytes: 276, bytesMax: 275)) { try ASFHeader.bytesNeeded(sample, bytesMax: 275) }
    }

    @Test func becomesLive() throws {
        let live = try ASFHeader(ASFSample.header).rewritten(ASFRewrite(form: .live))
        var expected = ASFSample.header
        expected.replaceSubrange(0x46..<0x4E, with: le64(0))
        expected.replaceSubrange(0x56..<0x5E, with: le64(0xFFFF_FFFF))
        expected.replaceSubrange(0x5E..<0x6E, with: le64(0, 0))
        expected[0x76] = 1
        expected.replaceSubrange(0x124..<0x12C, with: le64(50))
        expected.replaceSubrange(0x13C..<0x144, with: le64(0))
        #expect(live.bytes == expected)
        #expect(live.file.isBroadcast && live.file.contentMilliseconds == nil)
        // And back.
        let file = ASFRewrite.Form.file(packets: 2, playDuration: 12_000_000, sendDuration: 2_000_000, isSeekable: true)
        #expect(try live.rewritten(ASFRewrite(form: file)).bytes == ASFSample.header)
        let huge = ASFRewrite.Form.file(packets: .max, playDuration: .max, sendDuration: .max, isSeekable: false)
        #expect(try live.rewritten(ASFRewrite(form: huge)).data.byteCount == 0)
    }

    @Test func declaresNoData() throws {
        let changed = try ASFHeader(ASFSample.header).rewritten(ASFRewrite(declaresNoData: true))
        var expected = ASFSample.header
        expected.replaceSubrange(0x124..<0x12C, with: le64(50))
        #expect(changed.bytes == expected)
    }

    @Test func readsWhatObjectsSay() throws {
        let description =
            le16(10, 6, 2, 0, 4) + utf16("Title") + utf16("Ann") + utf16("C") + utf16("1\0")
        let system = ASFGUID.extensionSampleDuration.bytes + le16(2) + le32(0)
        let variable = ASFGUID.extensionFileName.bytes + le16(0xFFFF) + le32(3) + [1, 2, 3]
        let script =
            ASFGUID.reserved3.bytes + le16(2, 1) + le16(3) + utf16("URL") + le32(479) + le16(0, 4) + utf16("mms:") + le32(9) + le16(7, 0)
        let header = try ASFHeader(
            asfHeader(
                children: asfStream(2, .videoMedia, flags: 0x8000, data: asfVideo("WMV3", extra: [7, 8]))
                    + asfObject(.streamBitrateProperties, le16(2, 1) + le32(8_000) + le16(2) + le32(500_000))
                    + asfObject(.bitrateMutualExclusion, ASFGUID.mutexBitrate.bytes + le16(2, 2, 3))
                    + asfObject(.contentDescription, description) + asfObject(.scriptCommand, script)
                    + asfObject(.contentEncryption, [1, 2, 3, 4]),
                extension: asfExtended(2, bitrate: 700_000, systems: [system, variable])
                    + asfExtended(
                        3, bitrate: 300_000, flags: 4, names: [[65, 0]], stream: asfStream(3, .videoMedia, data: asfVideo("WMV2")))))
        #expect(header.streams.map(\.number) == [1, 2, 3] && header.streams.map(\.isHidden) == [false, false, true])
        #expect(header.streams.map(\.bitrate) == [8_000, 500_000, 300_000] && header.bitrate(of: [1, 3]) == 308_000)
        let video = try #require(header.stream(2))
        #expect(video.isEncrypted && video.hasKeyFrames && video.codecName == "WMV3" && video.video?.extra == [7, 8])
        #expect(video.video?.width == 320 && video.video?.height == 240)
        #expect(video.extended?.extensionSystems.map(\.byteCount) == [2, nil] && video.extended?.frameDuration == 400_000)
        #expect(header.keyFrameStreams == [2], "stream 3 has no clean points")
        #expect(header.mutualExclusions == [ASFMutualExclusion(kind: .mutexBitrate, alternatives: [[2], [3]])])
        #expect(header.contentDescription == ASFContentDescription(title: "Title", author: "Ann", copyright: "C", rating: "1"))
        #expect(
            header.scriptCommands == [
                ASFScriptCommand(milliseconds: 479, type: "URL", text: "mms:"), ASFScriptCommand(milliseconds: 9, type: "", text: ""),
            ])
        #expect(header.isProtected && header.encryptedStreams == [2] && header.flaws.isEmpty)
    }

    @Test func keepsChosenStreams() throws {
        let header = try ASFHeader(
            asfHeader(
                children: asfStream(2, .videoMedia, data: asfVideo("WMV3")) + asfStream(4, .videoMedia, data: asfVideo("WMV3"))
                    + asfObject(.streamBitrateProperties, le16(3, 1) + le32(8_000) + le16(2) + le32(500_000) + le16(3) + le32(7))
                    + asfObject(.bitrateMutualExclusion, ASFGUID.mutexBitrate.bytes + le16(3, 2, 3, 4))
                    + asfObject(.contentEncryption, [1, 2, 3, 4]),
                extension: asfExtended(2) + asfExtended(3, stream: asfStream(3, .videoMedia, data: asfVideo("WMV2")))
                    + asfObject(.indexParameters, [1])
                    + asfObject(.groupMutualExclusion, ASFGUID.mutexLanguage.bytes + le16(3, 2, 2, 4, 1, 3, 2, 1, 3))
                    + asfObject(.streamPrioritization, le16(2, 1, 1, 3, 0))))
        #expect(header.mutualExclusions.first?.alternatives == [[2, 4], [3], [1, 3]])
        let kept = try header.rewritten(ASFRewrite(streams: [1, 2, 4]))
        #expect(kept.streams.map(\.number) == [1, 2, 4] && kept.flaws.isEmpty)
        #expect(kept.mutualExclusions.map(\.alternatives) == [[[2, 4], [1]], [[2], [4]]])
        #expect(!kept.objects.contains { $0.guid == .indexParameters })
        #expect(kept.stream(1)?.listedBitrate == 8_000 && kept.stream(2)?.extended != nil)
        let encryption = try #require(kept.objects.first { $0.guid == .contentEncryption })
        #expect(Array(kept.bytes[encryption.offset..<encryption.end]) == asfObject(.contentEncryption, [1, 2, 3, 4]))
        // Objects are counted, those of the extension are not.
        #expect(Int(kept.bytes.span.loadLittle32(24)) == kept.objects.filter { !$0.isInExtension }.count)
        let one = try header.rewritten(ASFRewrite(streams: [1]))
        #expect(one.streams.map(\.number) == [1] && one.mutualExclusions.isEmpty)
        #expect(throws: ASFHeaderError.noStreams) { try header.rewritten(ASFRewrite(streams: [9])) }
        // Nothing goes where all are kept, the index parameters neither.
        #expect(try header.rewritten(ASFRewrite(streams: .all)).bytes.count == header.bytes.count)
    }

    @Test func becomesSmall() throws {
        let big = [UInt8](repeating: 7, count: 20_000)
        let header = try ASFHeader(
            asfHeader(
                children: asfObject(.padding, big) + asfObject(.extendedContentDescription, [0, 0])
                    + asfObject(ASFGUID(1, 2), [5]),
                extension: asfObject(.metadataLibrary, big)))
        let plain = try header.rewritten(ASFRewrite())
        #expect(plain.bytes.count == header.bytes.count - 20_024, "padding goes always")
        let small = try header.rewritten(ASFRewrite(bytesMax: ASFRewrite.legacyBytesMax))
        #expect(small.objects.map(\.guid).contains(.extendedContentDescription), "what fits stays")
        #expect(small.objects.map(\.guid).contains(ASFGUID(1, 2)), "what is not known stays")
        #expect(small.bytes.count == plain.bytes.count - 20_024)
        #expect(throws: ASFHeaderError.cannotFit(bytes: small.bytes.count - 26, bytesMax: 300)) {
            try header.rewritten(ASFRewrite(bytesMax: 300))
        }
    }

    @Test func knowsWhatGoesOnWithoutANewHeader() throws {
        let header = try ASFHeader(ASFSample.header)
        #expect(header.continues(try header.rewritten(ASFRewrite(form: .live))))
        #expect(!header.continues(try ASFHeader(asfHeader(children: asfStream(2, .videoMedia)))))
        var other = ASFSample.header
        other[0x104] = 0x40
        #expect(!header.continues(try ASFHeader(other)), "another sample rate")
    }

    /// What VLC does after a round.
    @Test func theSameStreamsUnderOtherNumbers() throws {
        // Beside the sample's own stream, number 1.
        func header(_ streams: (Int, ASFGUID)...) throws -> ASFHeader {
            try ASFHeader(asfHeader(children: streams.flatMap { asfStream($0.0, $0.1) }))
        }
        let one = try header((2, .videoMedia), (3, .commandMedia))
        let other = try header((2, .commandMedia), (3, .videoMedia))
        #expect(!other.continues(one) && other.renumbering(to: one) == [1: 1, 2: 3, 3: 2])
        #expect(one.renumbering(to: one) == [1: 1, 2: 2, 3: 3])
        let alike = try header((4, .videoMedia), (2, .videoMedia))
        #expect(alike.renumbering(to: try header((2, .videoMedia), (3, .videoMedia))) == [1: 1, 2: 2, 4: 3])
        #expect(one.renumbering(to: try header((2, .commandMedia), (3, .commandMedia))) == nil)
        #expect(one.renumbering(to: try header((2, .videoMedia))) == nil)
    }

    /// Each changes the sample at one place.
    @Test(
        arguments: [
            (0, [0], .notASF(begins: ASFGUID(0x0026_B275_8E66_CF11, 0xA6D9_00AA_0062_CE6C))),
            (16, le64(29), .objectSize(.header, offset: 0, bytes: 29, room: 4 << 20)),
            (16, le64(.max), .tooLong(bytes: .max, bytesMax: 4 << 20)),
            (16, le64(1 << 63), .tooLong(bytes: 1 << 63, bytesMax: 4 << 20)),
            (16, le64(277), .tooShort(have: 326, need: 327)),
            (16, le64(275), .noDataObject(offset: 275, found: ASFGUID(0x0036_26B2_758E_66CF, 0x11A6_D900_AA00_62CE))),
            (46, le64(23), .objectSize(.fileProperties, offset: 30, bytes: 23, room: 246)),
            (46, le64(0), .objectSize(.fileProperties, offset: 30, bytes: 0, room: 246)),
            (46, le64(247), .objectSize(.fileProperties, offset: 30, bytes: 247, room: 246)),
            (46, le64(.max), .objectSize(.fileProperties, offset: 30, bytes: .max, room: 246)),
            (46, le64(1 << 32 | 104), .objectSize(.fileProperties, offset: 30, bytes: 1 << 32 | 104, room: 246)),
            (30, [0], .noFileProperties),
            (0x7E, le32(31), .packetBytes(31, offset: 30)),
            (0x7E, le32(0), .packetBytes(0, offset: 30)),
            (0x7E, le32(65_537), .packetBytes(65_537, offset: 30)),
            (0x7E, le32(-1), .packetBytes(.max, offset: 30)),
            (0xB4, [0], .noStreams),
            (0xFC, [0], .streamNumber(offset: 0xB4)),
            (0xF4, le32(19), .outside(.streamProperties, offset: 0x102, have: 18, need: 19)),
            (0xF4, le32(-1), .outside(.streamProperties, offset: 0x102, have: 18, need: 0xFFFF_FFFF)),
            (0xF8, le32(1), .outside(.streamProperties, offset: 0x114, have: 0, need: 1)),
            (0xB0, le32(1), .outside(.headerExtension, offset: 0xB4, have: 0, need: 1)),
            (0xB0, le32(-1), .outside(.headerExtension, offset: 0xB4, have: 0, need: 0xFFFF_FFFF)),
            (0x114, [0], .noDataObject(offset: 276, found: ASFGUID(0x0026_B275_8E66_CF11, 0xA6D9_00AA_0062_CE6C))),
        ] as [(Int, [UInt8], ASFHeaderError)])
    func refuses(_ test: (offset: Int, bytes: [UInt8], error: ASFHeaderError)) {
        var bytes = ASFSample.header
        bytes.replaceSubrange(test.offset..<(test.offset + test.bytes.count), with: test.bytes)
        #expect(throws: test.error) { try ASFHeader(bytes) }
        #expect(!test.error.description.isEmpty)
    }

    @Test(
        arguments: [
            asfObject(.contentDescription, le16(2, 0, 0, 0, 65_535) + [65, 0]),
            asfObject(.contentDescription, []),
            asfObject(.streamBitrateProperties, le16(65_535)),
            asfObject(.scriptCommand, ASFGUID.reserved3.bytes + le16(65_535, 65_535)),
            asfObject(.scriptCommand, ASFGUID.reserved3.bytes + le16(0, 1, 65_535)),
            asfObject(.bitrateMutualExclusion, []),
            asfObject(.groupMutualExclusion, ASFGUID.mutexBitrate.bytes + le16(65_535, 1)),
            asfStream(1, .videoMedia),
            asfObject(.extendedStreamProperties, []),
            asfExtended(2, stream: asfStream(3, .videoMedia)),
        ] as [[UInt8]])
    func toleratesInWhatItNeedsNot(_ object: [UInt8]) throws {
        let header = try ASFHeader(asfHeader(children: object))
        #expect(header.flaws.count == 1 && header.streams.count == 1)
        #expect(try header.rewritten(ASFRewrite(form: .live)).bytes.count == header.bytes.count, "it goes on as it is")
        _ = try header.rewritten(ASFRewrite(streams: [1]))
    }

    @Test func keepsASecondFileProperties() throws {
        let header = try ASFHeader(asfHeader(children: asfObject(.fileProperties, [1, 2])))
        #expect(try header.rewritten(ASFRewrite(form: .live)).file.isBroadcast)
    }

    @Test func refusesTooManyObjects() {
        let soup = (0...ASFHeader.objectsMax).flatMap { asfObject(ASFGUID(UInt64($0), 0), []) }
        #expect(throws: ASFHeaderError.tooManyObjects(countMax: 4_096)) { try ASFHeader(asfHeader(children: soup)) }
        #expect(throws: ASFHeaderError.tooManyObjects(countMax: 4_096)) { try ASFHeader(asfHeader(extension: soup)) }
    }

    @Test func printsGUIDs() {
        #expect(ASFGUID.header.description == "75B22630-668E-11CF-A6D9-00AA0062CE6C")
        #expect(ASFGUID(ASFGUID.audioMedia.bytes.span, at: 0) == .audioMedia)
    }
}
