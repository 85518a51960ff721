import Foundation
import WhopChatAuth
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

typealias Members = [String: Any]

/// A virtual clock, a Cognito session, a service and a source of chance.
final class World: Platform, @unchecked Sendable {
    private struct Timer {
        let id: UUID
        let time: Int
        let wake: CheckedContinuation<Void, any Error>
    }

    private static let start = 1_800_000_000_000

    private let lock = NSRecursiveLock()
    private let setting: Members
    private var cognito: [Members]
    private var chance: Int
    private var cognitoTokens = 1
    private var timers: [Timer] = []
    // Timers run on `elapsed`. While the device sleeps, only the wall clock goes on, by `slept`.
    private var elapsed = 0
    private var slept = 0

    private(set) var effects: [NSDictionary] = []
    private(set) var answers: [Members]
    var user = "ada"

    init(_ setting: Members) {
        self.setting = setting
        cognito = setting["cognito"] as? [Members] ?? []
        answers = setting["answers"] as? [Members] ?? []
        chance = setting["seed"] as? Int ?? 20_261_123
    }

    func effect(_ members: Members) {
        locked { effects.append(members.merging(["at": elapsed + slept]) { $1 } as NSDictionary) }
    }

    /// Runs what happens before or at `time` on the wall clock, in order. Tasks have no end of their own to wait for,
    /// so each step yields until they have surely come to rest.
    func until(_ time: Int) async {
        await settle()
        while let next = locked({ due(time) }) {
            next.wake.resume()
            await settle()
        }
        if time < .max { locked { elapsed = time - slept } }
    }

    func sleep(_ ms: Int) {
        locked { slept += ms }
    }

    private func due(_ time: Int) -> Timer? {
        guard let next = timers.min(by: { $0.time < $1.time }), time == .max || next.time + slept <= time else { return nil }
        timers.removeAll { $0.id == next.id }
        elapsed = next.time
        return next
    }

    private func settle() async {
        for _ in 0..<500 { await Task.yield() }
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    // MARK: The platform

    func now() -> Date {
        locked { Date(timeIntervalSince1970: Double(World.start + elapsed + slept + (setting["clock_ahead"] as? Int ?? 0)) / 1000) }
    }

    func random() -> Double {
        locked {
            chance = chance * 48271 % 2_147_483_647
            return Double(chance) / 2_147_483_647
        }
    }

    func sleep(seconds: TimeInterval) async throws {
        try await timer(Int((seconds * 1000).rounded()))
    }

    private func timer(_ ms: Int) async throws {
        let id = UUID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (wake: CheckedContinuation<Void, any Error>) in
                if Task.isCancelled { return wake.resume(throwing: CancellationError()) }
                locked { timers.append(Timer(id: id, time: elapsed + ms, wake: wake)) }
            }
        } onCancel: {
            let cancelled = locked { timers.first { $0.id == id } }
            locked { timers.removeAll { $0.id == id } }
            cancelled?.wake.resume(throwing: CancellationError())
        }
    }

    func send(_ request: URLRequest) async throws -> HTTPAnswer {
        let jwt = request.value(forHTTPHeaderField: "Authorization")!.dropFirst("Bearer ".count)
        let body = request.httpBody.flatMap { try? JSONSerialization.jsonObject(with: $0) } as? Members ?? [:]
        var asked: Members = ["effect": "request", "path": request.url!.path, "cognito": String(jwt.prefix { $0 != "." })]
        if request.httpMethod != "POST" { asked["method"] = request.httpMethod }
        effect(asked.merging(body) { $1 })
        let script = locked { answers.removeFirst() }
        do {
            try await timer(script["after"] as? Int ?? 100)
        } catch {
            effect(["effect": "cancel"])
            throw error
        }
        if script["network"] != nil { throw URLError(.notConnectedToInternet) }
        return answer(script)
    }

    /// The service's clock is right, and it counts in seconds.
    private func answer(_ script: Members) -> HTTPAnswer {
        let seconds = locked { (World.start + elapsed + slept) / 1000 }
        let timestamp = { (time: Int) in ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: Double(time))) }
        let wait = script["retry_after"]
        var document: Members = [:]
        if let token = script["token"] {
            document = [
                "token": token,
                "expires_at": timestamp(seconds + (script["lives"] as? Int ?? 3600)),
                "refresh_after": timestamp(seconds + (script["refresh"] as? Int ?? 2880)),
            ]
        } else if let code = script["code"] {
            document = ["code": code]
            if let wait { document["retry_after"] = wait }
        }
        let httpDate = DateFormatter()
        httpDate.locale = Locale(identifier: "en_US_POSIX")
        httpDate.timeZone = TimeZone(identifier: "GMT")
        httpDate.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return HTTPAnswer(
            status: script["status"] as? Int ?? 200,
            retryAfter: script["header"] as? Bool == false ? nil : wait.map { "\($0)" },
            date: script["date"] as? Bool == false ? nil : httpDate.string(from: Date(timeIntervalSince1970: Double(seconds))),
            body: (script["body"] as? String).map { Data($0.utf8) } ?? (try! JSONSerialization.data(withJSONObject: document))
        )
    }

    // MARK: Cognito

    @Sendable func cognitoToken(forceRefresh: Bool) async throws -> String? {
        effect(["effect": "cognito", "refresh": forceRefresh])
        let script = locked { cognito.isEmpty ? [:] : cognito.removeFirst() }
        if let after = script["after"] as? Int { try await timer(after) }
        if script["fails"] != nil { throw URLError(.cannotConnectToHost) }
        if script["signed_out"] != nil { return nil }
        if forceRefresh { locked { cognitoTokens += 1 } }
        if let token = script["token"] as? String { return token }
        let payload = try JSONSerialization.data(withJSONObject: ["sub": script["user"] as? String ?? user, "name": "Zoë?>~"])
        let base64 = payload.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
        return "c\(locked { cognitoTokens })." + base64.replacingOccurrences(of: "=", with: "") + ".c"
    }
}
