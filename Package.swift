// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of Weir is built with.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "weir",
    products: [
        .executable(name: "weir", targets: ["weir"]),
        .library(name: "FastPath", targets: ["FastPath", "PlaneLink"]),
        .library(name: "WeirRelay", targets: ["WeirRelay"]),
        // What tools/build-embed makes libfastpath of.
        .library(name: "FastPathC", type: .static, targets: ["FastPathC"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // The fast path: the engine and what it stands on.
        .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),
        .target(name: "FastPath", dependencies: ["CUring", "PlaneLink", "WireFormats"], swiftSettings: settings),
        // The engine for C: the header, and the functions behind it.
        .target(name: "CFastPath"),
        .target(name: "FastPathC", dependencies: ["CFastPath", "FastPath"], swiftSettings: settings),

        // What the two planes say to each other, and the bytes both know.
        .target(name: "PlaneLink", swiftSettings: settings),
        .target(name: "WireFormats", swiftSettings: settings),

        // The control plane: pure machines, then their effects.
        .systemLibrary(name: "CNettle"),
        .target(name: "Signalling", dependencies: ["CNettle", "WireFormats"], swiftSettings: settings),
        .target(name: "CDemoClip", exclude: ["demo.rtpdump", "demo.sdp"]),
        .target(name: "CChild"),
        .target(
            name: "ControlPlane",
            dependencies: [
                "Signalling", "PlaneLink", "WireFormats", "CDemoClip", "CChild",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings),

        // The whole relay as a library, on which the command stands, too.
        .target(
            name: "WeirRelay",
            dependencies: [
                "ControlPlane", "FastPath", "PlaneLink",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),

        // Measuring.
        .target(name: "CBareLoops", path: "Benchmarks/BareLoops"),
        .target(name: "CSinks", path: "Sources/CSinks"),
        .target(
            name: "Workbench",
            dependencies: ["Signalling", "WireFormats", "FastPath", "PlaneLink", "CBareLoops", "CSinks"],
            swiftSettings: settings),

        // The command line and the wiring.
        .executableTarget(
            name: "weir",
            dependencies: [
                "ControlPlane", "FastPath", "PlaneLink", "WeirRelay", "Workbench",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),

        // Tests.
        .target(name: "CAllocationCount", path: "Tests/AllocationCount"),
        .testTarget(name: "WireFormatsTests", dependencies: ["WireFormats"], swiftSettings: settings),
        .testTarget(name: "PlaneLinkTests", dependencies: ["PlaneLink"], swiftSettings: settings),
        .target(name: "CForbidding", path: "Tests/Forbidding"),
        .testTarget(
            name: "FastPathTests", dependencies: ["FastPath", "PlaneLink", "WireFormats", "CAllocationCount", "CForbidding"],
            swiftSettings: settings),
        .testTarget(name: "SignallingTests", dependencies: ["Signalling", "WireFormats"], swiftSettings: settings),
        .testTarget(
            name: "ControlPlaneTests",
            dependencies: [
                "ControlPlane", "Signalling", "PlaneLink", "WireFormats",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "WeirRelayTests",
            dependencies: [
                "WeirRelay", "ControlPlane", "PlaneLink", "WireFormats",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .testTarget(name: "WorkbenchTests", dependencies: ["Workbench", "WireFormats"], swiftSettings: settings),
    ]
)
