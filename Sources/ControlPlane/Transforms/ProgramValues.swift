import CChild

/// What a program's command line and environment get for the names of ``ProgramCommand/Name``. All of it is made here: nothing that came
/// over the network is in it.
struct ProgramValues {
    let folder: PrivateFolder
    let inputPort: UInt16
    let outputPort: UInt16

    /// The text for a name.
    func value(_ name: ProgramCommand.Name) -> String {
        switch name {
        case .inputSDP: folder.file(ProgramRun.inputFile)
        case .inputURL: "rtp://127.0.0.1:\(inputPort)"
        case .inputRTPPort: "\(inputPort)"
        case .inputRTCPPort: "\(inputPort &+ 1)"
        // ffmpeg's packets are at most as large as an Ethernet frame takes, with room for a tunnel.
        case .outputURL: "rtp://127.0.0.1:\(outputPort)?pkt_size=1316"
        case .outputRTPPort: "\(outputPort)"
        case .outputRTCPPort: "\(outputPort &+ 1)"
        case .outputSDP: folder.file(ProgramRun.outputFile)
        }
    }

    /// The relay's own environment without what configures it (there may be passwords in it), the names, and the path's name where that is
    /// made of letters, digits and `-_./` alone.
    static func environment(pathName: String, _ value: (ProgramCommand.Name) -> String) -> [String] {
        var variables: [String] = []
        var index: CInt = 0
        while let text = unsafe cchild_environment(index) {
            let variable = unsafe String(cString: text)
            let isOurs = ProgramCommand.Name.allCases.contains { variable.hasPrefix($0.rawValue + "=") }
            if !variable.hasPrefix(ConfigurationReader.environmentPrefix), !isOurs { variables.append(variable) }
            index += 1
        }
        variables += ProgramCommand.Name.allCases.map { "\($0.rawValue)=\(value($0))" }
        let isPlain = pathName.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || "-_./".utf8.contains(byte)
        }
        if isPlain { variables.append("PATH_NAME=\(pathName)") }
        return variables
    }
}
