// Runs every case of the file that is named. Prints a line for each, and exits with 1 if one failed.

import Foundation
import WhopChatAuth

struct Failed: Error {
    let reason: String
}

/// A client, and the app around it.
final class App {
    private let world: World
    private let setting: Members
    private var calls: [String: Task<Void, Never>] = [:]
    private var tokens: ChatTokens!

    init(_ world: World, _ setting: Members) {
        self.world = world
        self.setting = setting
        tokens = client()
    }

    private func client() -> ChatTokens {
        let world = world
        return ChatTokens(
            apiURL: URL(string: "https://api.example.test/")!,
            userId: world.user,
            features: setting["features"] as? [String],
            platform: world,
            onWait: { wait in
                let ms = wait.seconds.map { ["ms": Int(($0 * 1000).rounded())] } ?? [:]
                world.effect((["effect": "wait", "code": wait.code] as Members).merging(ms) { $1 })
            },
            cognitoToken: world.cognitoToken
        )
    }

    private func call(_ caller: String, _ call: @escaping @Sendable () async throws -> Members) -> Task<Void, Never> {
        let world = world
        return Task {
            do {
                let value = try await call()
                world.effect((["effect": "resolve", "caller": caller] as Members).merging(value) { $1 })
            } catch let error as ChatError {
                let reason = ["kind": error.kind.rawValue, "code": error.code, "show": error.show.rawValue]
                world.effect((["effect": "reject", "caller": caller] as Members).merging(reason) { $1 })
            } catch {
                world.effect(["effect": "reject", "caller": caller, "kind": "aborted"])
            }
        }
    }

    func play(_ event: Members) async throws {
        let caller = event["caller"] as? String ?? ""
        let tokens = tokens!
        switch event["event"] as? String {
        case "call": calls[caller] = call(caller) { ["token": try await tokens.token().token] }
        case "sync":
            calls[caller] = call(caller) {
                try await tokens.sync()
                return [:]
            }
        case "link":
            let returnTo = event["return_to"] as! String
            calls[caller] = call(caller) { ["url": try await tokens.link(returnTo: returnTo).absoluteString] }
        case "complete":
            let result = event["result"] as! String
            calls[caller] = call(caller) { ["account": members(of: try await tokens.complete(result: result))] }
        case "unlink":
            calls[caller] = call(caller) {
                try await tokens.unlink()
                return [:]
            }
        case "abort": calls[caller]!.cancel()
        case "signOut": await tokens.close()
        case "switchUser":
            await tokens.close()
            world.user = event["user"] as! String
            self.tokens = client()
        case "offline": await tokens.offline()
        case "online": await tokens.online()
        case "wake":
            world.sleep(event["slept"] as! Int)
            await tokens.wake()
        default: throw Failed(reason: "no event \(event)")
        }
    }
}

func members(of user: WhopUser) -> Members {
    let orNull = { (text: String?) -> Any in text ?? NSNull() }
    return ["id": user.id, "name": orNull(user.name), "username": orNull(user.username), "picture": orNull(user.picture)]
}

func played(_ setting: Members, until time: Int = .max) async throws -> World {
    let world = World(setting)
    let app = App(world, setting)
    for event in setting["events"] as! [Members] {
        await world.until(event["at"] as! Int)
        try await app.play(event)
    }
    await world.until(time)
    return world
}

func runCase(_ setting: Members) async throws {
    let world = try await played(setting)
    let expected = (setting["effects"] as! [Members]).map { $0 as NSDictionary }
    guard world.effects == expected else { throw Failed(reason: "\(world.effects)\ninstead of \(expected)") }
    guard world.answers.isEmpty else { throw Failed(reason: "answers that were not asked for") }
}

/// A problem ends a call, after as many answers as the table says, or makes it wait.
func runProblem(_ code: String, _ problem: Members) async throws {
    let waits = problem["kind"] as! String == "wait"
    var answer: Members = ["status": problem["status"]!, "code": code]
    if waits { answer["retry_after"] = 2 }
    let answers = Array(repeating: answer, count: problem["attempts"] as? Int ?? 1)
    let call: Members = ["at": 0, "event": "call", "caller": "a"]
    let world = try await played(["answers": answers, "events": [call]], until: waits ? 1000 : .max)
    var last = world.effects.last as? Members ?? [:]
    for name in ["at", "ms", "caller"] { last[name] = nil }
    let expected: Members = waits
        ? ["effect": "wait", "code": code]
        : ["effect": "reject", "kind": problem["kind"]!, "code": code, "show": problem["show"]!]
    guard last as NSDictionary == expected as NSDictionary else { throw Failed(reason: "\(last)\ninstead of \(expected)") }
}

let file = URL(fileURLWithPath: CommandLine.arguments[1])
let document = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as! Members
var runs: [(name: String, run: () async throws -> Void)] = (document["cases"] as! [Members]).map { setting in
    (setting["name"] as! String, { try await runCase(setting) })
}
for (code, problem) in document["problems"] as! [String: Members] {
    runs.append(("problem \(code)", { try await runProblem(code, problem) }))
}
var failed = 0
for (name, run) in runs {
    do {
        try await run()
        print("ok \(name)")
    } catch {
        failed += 1
        print("not ok \(name)\n\(error)")
    }
}
print("\(failed > 0 ? "FAILED" : "passed"): \(failed) of \(runs.count) failed")
exit(failed > 0 ? 1 : 0)
