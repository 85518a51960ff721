import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A token for Whop's chat. Times are of this device's clock.
public struct ChatToken: Sendable, Equatable {
    public let token: String
    public let expiresAt: Date
    public let refreshAt: Date
}

/// The Whop account that a user has linked.
public struct WhopUser: Sendable, Equatable {
    public let id: String
    public let name: String?
    public let username: String?
    public let picture: String?
}

/// No token: `kind` says what the app does, `code` why, `show` what the user sees.
public struct ChatError: Error, Sendable, Equatable {
    public enum Kind: String, Sendable {
        case signedOut = "signed-out"
        case denied, broken
    }

    public enum Show: String, Sendable {
        case signIn = "sign-in"
        case notAllowed = "not-allowed"
        case verifyEmail = "verify-email"
        case changeEmail = "change-email"
        case otherSignIn = "other-sign-in"
        case contactSupport = "contact-support"
        case linkAccount = "link-account"
        case unavailable
    }

    public let kind: Kind
    public let code: String

    public var show: Show {
        switch code {
        case "no_verified_email": .verifyEmail
        case "enrolment_rejected": .changeEmail
        case "provider_not_trusted": .otherSignIn
        case "identity_conflict", "identity_mismatch", "enrolment_blocked": .contactSupport
        case "link_required", "link_expired": .linkAccount
        default:
            switch kind {
            case .signedOut: .signIn
            case .denied: .notAllowed
            case .broken: .unavailable
            }
        }
    }
}

/// Why callers have to wait, and the seconds. Without `seconds`: until the device is online.
public struct Wait: Sendable, Equatable {
    public let code: String
    public let seconds: TimeInterval?
}

public struct HTTPAnswer: Sendable {
    public let status: Int
    public let retryAfter: String?
    public let date: String?
    public let body: Data

    public init(status: Int, retryAfter: String?, date: String?, body: Data) {
        self.status = status
        self.retryAfter = retryAfter
        self.date = date
        self.body = body
    }
}

/// The clock, chance, and the network. Both calls end with an error when their task is cancelled.
public protocol Platform: Sendable {
    func now() -> Date
    /// At least 0, less than 1.
    func random() -> Double
    func sleep(seconds: TimeInterval) async throws
    /// Throws if the network fails. Follows no redirect.
    func send(_ request: URLRequest) async throws -> HTTPAnswer
}

/// Whop chat tokens for one signed-in Cognito user. `clients/cases.json` fixes what it does, step by step.
public actor ChatTokens {
    private let apiURL: URL
    private let userId: String
    private let features: [String]?
    private let platform: any Platform
    private let cognitoToken: @Sendable (_ forceRefresh: Bool) async throws -> String?
    private let onWait: @Sendable (Wait) -> Void

    private var runs: [Run] = []
    private var shared: Run?
    private var kept: ChatToken?
    private var refusal: (error: ChatError, until: Date)?
    private var isOnline = true
    // Counts the changes of the user's Whop account. A token that was asked for before a change is not used.
    private var account = 0

    // No request before this time, and why. `told`: the service named the time, so being online again does not end it.
    private var notBefore = Date.distantPast
    private var reason = ""
    private var told = false

    // The streak of failures since the last success.
    private var failures = 0
    private var refreshed = false
    private var forceRefresh = false

    /// - Parameters:
    ///   - apiURL: the stack's output `ApiUrl`
    ///   - userId: the `sub` of the signed-in user. Tokens of other users are refused.
    ///   - features: less than the user may do: `channels`, `dms`, `support`
    ///   - onWait: called when callers have to wait
    ///   - cognitoToken: the user's Cognito access token, or nil if nobody is signed in. Throws if that cannot be known
    ///     now.
    public init(
        apiURL: URL,
        userId: String,
        features: [String]? = nil,
        platform: any Platform = URLSessionPlatform(),
        onWait: @escaping @Sendable (Wait) -> Void = { _ in },
        cognitoToken: @escaping @Sendable (_ forceRefresh: Bool) async throws -> String?
    ) {
        self.apiURL = apiURL
        self.userId = userId
        self.features = features
        self.platform = platform
        self.onWait = onWait
        self.cognitoToken = cognitoToken
    }

    /// A token, kept or new. Waits as long as it has to. Throws a `ChatError`, or a `CancellationError`.
    public func token() async throws -> ChatToken {
        if let refusal, platform.now() < refusal.until { throw refusal.error }
        if let kept = usable(), platform.now() < kept.refreshAt { return kept }
        let run = shared ?? start(Run(.token(features: features)))
        shared = run
        guard case .token(let token) = try await join(run) else { throw CancellationError() }
        return token
    }

    /// Tells the service that the user's name has changed. Returns when the service has noted it.
    public func sync() async throws {
        _ = try await tell(.sync)
    }

    /// The URL at which the user signs in to Whop. Open it in the system's browser. Whop then sends the browser back to
    /// `returnTo`, one of the stack's `OAuthReturnUrls`. Its fragment gets a `result` for `complete`, or an `error`.
    public func link(returnTo: String) async throws -> URL {
        guard case .url(let url) = try await tell(.link(returnTo: returnTo)) else { throw CancellationError() }
        return url
    }

    /// Links the account that signed in at Whop, and answers it. From now on there are tokens of that account only. A
    /// result is good once, so no failure is waited for: after any, `link` again.
    public func complete(result: String) async throws -> WhopUser {
        guard case .account(let user) = try await tell(.complete(result: result)) else { throw CancellationError() }
        return user
    }

    /// Unlinks the user's own Whop account. From now on there are no tokens of that account.
    public func unlink() async throws {
        _ = try await tell(.unlink)
    }

    /// The user has signed out, or another one has signed in. Nothing under way is answered, and nothing is asked.
    public func close() {
        close(ChatError(kind: .signedOut, code: "signed_out"))
    }

    /// The device is offline: nothing is asked until it is online.
    public func offline() {
        isOnline = false
    }

    /// The device is online again. Ends every wait but one that the service asked for.
    public func online() {
        isOnline = true
        if !told { notBefore = .distantPast }
        wake()
    }

    /// The device was asleep, and its timers with it: the clock is read again.
    public func wake() {
        for run in runs { run.sleeper?.cancel() }
    }

    // MARK: Callers and runs

    private typealias Caller = CheckedContinuation<Value, any Error>

    /// One request that callers share. It ends when the last of them leaves. Only the actor touches it.
    private final class Run: @unchecked Sendable {
        let request: Request
        var account = 0
        var callers: [(id: UUID, caller: Caller)] = []
        var work: Task<Void, Never>?
        var sleeper: Task<Void, Never>?

        var mints: Bool {
            if case .token = request { true } else { false }
        }

        init(_ request: Request) {
            self.request = request
        }
    }

    private func start(_ run: Run) -> Run {
        runs.append(run)
        run.work = Task {
            do {
                end(run, with: .success(try await ask(run)))
            } catch {
                end(run, with: .failure(error))
            }
        }
        return run
    }

    private func tell(_ request: Request) async throws -> Value {
        if let refusal, refusal.until == .distantFuture { throw refusal.error }
        return try await join(start(Run(request)))
    }

    private func join(_ run: Run) async throws -> Value {
        let id = UUID()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { caller in
                run.callers.append((id, caller))
                if Task.isCancelled { leave(run, id) }
            }
        } onCancel: {
            Task { await self.leave(run, id) }
        }
    }

    private func leave(_ run: Run, _ id: UUID) {
        guard let index = run.callers.firstIndex(where: { $0.id == id }) else { return }
        let (_, caller) = run.callers.remove(at: index)
        if run.callers.isEmpty { end(run, with: .failure(CancellationError())) }
        caller.resume(throwing: CancellationError())
    }

    private func end(_ run: Run, with result: Result<Value, any Error>) {
        guard runs.contains(where: { $0 === run }) else { return }
        runs.removeAll { $0 === run }
        if shared === run { shared = nil }
        run.work?.cancel()
        for (_, caller) in run.callers { caller.resume(with: result) }
        run.callers = []
    }

    private func close(_ error: ChatError) {
        kept = nil
        refusal = (error, .distantFuture)
        for run in runs { end(run, with: .failure(error)) }
    }

    /// The user's Whop account is another one: forgets what belongs to the one before.
    private func change() {
        account += 1
        kept = nil
        refusal = nil
        wake()
    }

    /// The kept token, if two minutes of it are left.
    private func usable() -> ChatToken? {
        guard let kept, kept.expiresAt.timeIntervalSince(platform.now()) >= twoMinutes else { return nil }
        return ChatToken(token: kept.token, expiresAt: kept.expiresAt, refreshAt: max(kept.refreshAt, notBefore))
    }

    // MARK: Asking

    /// The answer to the request of `run`, repeated while its failures pass.
    private func ask(_ run: Run) async throws -> Value {
        while true {
            try await gate(run)
            run.account = account
            let answer = try await refreshing(run)
            try Task.checkCancellation()
            switch answer {
            case .value(let value):
                succeeded()
                if isOutdated(run) { continue }
                note(value)
                return value
            case .failure(let failure):
                if let token = try judge(failure, of: run) { return .token(token) }
            }
        }
    }

    private func note(_ value: Value) {
        switch value {
        case .token(let token): kept = token
        case .account, .unlinked: change()
        case .synced: refusal = nil
        case .url: break
        }
    }

    /// Whether `run` asked for a token of an account that the user no longer has.
    private func isOutdated(_ run: Run) -> Bool {
        run.mints && run.account != account
    }

    private func succeeded() {
        failures = 0
        refreshed = false
    }

    /// A token in place of a wait, or nil if the request is to be repeated. Throws if that would not help.
    private func judge(_ failure: Failure, of run: Run) throws -> ChatToken? {
        switch failure.fate {
        case .offline: return nil
        case .signedOut: return try refuse(run, ChatError(kind: .signedOut, code: failure.code))
        case .denied: return try refuse(run, ChatError(kind: .denied, code: failure.code))
        case .wait, .defect, .broken: break
        }
        backOff(failure)
        if run.mints, let instead = usable() { return instead }
        if failure.fate == .broken || run.request.isSentOnce || (failure.fate == .defect && failures >= mostFailures) {
            return try refuse(run, ChatError(kind: .broken, code: failure.code))
        }
        return nil
    }

    /// Throws the error, or answers nil if the request is to be repeated for another account.
    private func refuse(_ run: Run, _ error: ChatError) throws -> ChatToken? {
        if isOutdated(run) { return nil }
        if run.mints {
            kept = nil
            refusal = (error, platform.now() + remembered)
        }
        throw error
    }

    private func backOff(_ failure: Failure) {
        told = failure.wait != nil
        reason = failure.code
        let seconds: TimeInterval
        if let wait = failure.wait {
            seconds = wait * (1 + platform.random() / 10)
        } else {
            seconds = min(60, pow(2, Double(failures))) * (1 - platform.random() / 2)
            failures += 1
        }
        notBefore = platform.now() + (seconds * 1000).rounded() / 1000
    }

    /// Returns when a request may be sent.
    private func gate(_ run: Run) async throws {
        while true {
            try Task.checkCancellation()
            let due = run.mints ? kept?.refreshAt ?? .distantPast : .distantPast
            let seconds = max(due, notBefore).timeIntervalSince(platform.now())
            if isOnline && seconds <= 0 { return }
            onWait(isOnline ? Wait(code: due > notBefore ? "refresh_after" : reason, seconds: seconds) : Wait(code: "offline", seconds: nil))
            let (platform, time) = (platform, isOnline ? seconds : aYear)
            let sleeper = Task { _ = try? await platform.sleep(seconds: time) }
            run.sleeper = sleeper
            await withTaskCancellationHandler { await sleeper.value } onCancel: { sleeper.cancel() }
            run.sleeper = nil
        }
    }

    /// Sends a request, and once more with a refreshed Cognito token if that may help: once in a streak of failures.
    private func refreshing(_ run: Run) async throws -> Answer {
        let answer = try await send(run)
        guard case .failure(let failure) = answer, failure.code == "network" || failure.status == 401, !refreshed else {
            return answer
        }
        refreshed = true
        forceRefresh = true
        return try await send(run)
    }

    private func send(_ run: Run) async throws -> Answer {
        let cognito: String?
        do {
            cognito = try await cognitoToken(forceRefresh)
        } catch {
            return .failure(isOnline ? Failure(.wait, "cognito") : .offline)
        }
        try Task.checkCancellation()
        guard let cognito, !cognito.isEmpty else { return .failure(Failure(.signedOut, "no_session")) }
        guard subject(of: cognito) == userId else {
            let error = ChatError(kind: .signedOut, code: "other_user")
            close(error)
            throw error
        }
        forceRefresh = false

        let sentAt = platform.now()
        do {
            guard let answer = try await patiently(request(run, cognito)) else { return .failure(Failure(.wait, "timeout")) }
            return read(answer, of: run, sentAt: sentAt)
        } catch {
            try Task.checkCancellation()
            return .failure(isOnline ? Failure(.wait, "network") : .offline)
        }
    }

    private func request(_ run: Run, _ cognito: String) throws -> URLRequest {
        var request = URLRequest(url: apiURL.appendingPathComponent(run.request.path), cachePolicy: .reloadIgnoringLocalCacheData)
        request.httpMethod = run.request.method
        request.setValue("Bearer \(cognito)", forHTTPHeaderField: "Authorization")
        if let body = run.request.body {
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
            request.httpBody = try JSONSerialization.data(withJSONObject: body)
        }
        return request
    }

    /// The answer, or nil if there is none in time.
    private func patiently(_ request: URLRequest) async throws -> HTTPAnswer? {
        let platform = platform
        return try await withThrowingTaskGroup(of: HTTPAnswer?.self) { group in
            group.addTask { try await platform.send(request) }
            group.addTask {
                try await platform.sleep(seconds: patience)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    private func read(_ answer: HTTPAnswer, of run: Run, sentAt: Date) -> Answer {
        let body = members(of: answer.body)
        guard 200..<300 ~= answer.status else { return .failure(Failure(answer, body)) }
        // Without a readable date, both clocks count as equal.
        let shift = answer.date.flatMap(httpDate).map { sentAt.timeIntervalSince($0) } ?? 0
        guard let found = value(in: body, shift, of: run) else {
            return .failure(Failure(.defect, "invalid_response", status: answer.status))
        }
        return .value(found)
    }

    private func value(in body: [String: Any], _ shift: TimeInterval, of run: Run) -> Value? {
        switch run.request {
        case .token: token(in: body, shift).map { .token($0) }
        case .link: (body["authorize_url"] as? String).flatMap { URL(string: $0) }.map { .url($0) }
        case .complete: whopUser(in: body).map { .account($0) }
        case .sync: .synced
        case .unlink: .unlinked
        }
    }

    private func token(in body: [String: Any], _ shift: TimeInterval) -> ChatToken? {
        guard let token = body["token"] as? String, !token.isEmpty,
              let expiresAt = (body["expires_at"] as? String).flatMap(timestamp),
              let refreshAfter = (body["refresh_after"] as? String).flatMap(timestamp)
        else { return nil }
        let refreshAt = max(refreshAfter + shift, platform.now() + shortestUse)
        return ChatToken(token: token, expiresAt: expiresAt + shift, refreshAt: refreshAt)
    }
}

private let twoMinutes: TimeInterval = 120
private let remembered: TimeInterval = 60
private let patience: TimeInterval = 15
private let longestWait: TimeInterval = 3600
private let shortestUse: TimeInterval = 10
private let aYear: TimeInterval = 365 * 86400
private let mostFailures = 4

/// What is asked.
private enum Request {
    case token(features: [String]?)
    case sync
    case link(returnTo: String)
    case complete(result: String)
    case unlink

    var path: String {
        switch self {
        case .token: "/chat/token"
        case .sync: "/chat/sync"
        case .link, .unlink: "/oauth/whop/link"
        case .complete: "/oauth/whop/complete"
        }
    }

    var method: String {
        if case .unlink = self { "DELETE" } else { "POST" }
    }

    var body: [String: Any]? {
        switch self {
        case .token(let features): features.map { ["features": $0] }
        case .link(let returnTo): ["return_to": returnTo]
        case .complete(let result): ["result": result]
        case .sync, .unlink: nil
        }
    }

    /// Whether it is not sent again after a wait.
    var isSentOnce: Bool {
        if case .complete = self { true } else { false }
    }
}

/// What a caller gets.
private enum Value: Sendable {
    case token(ChatToken)
    case url(URL)
    case account(WhopUser)
    case synced, unlinked
}

private enum Answer {
    case value(Value)
    case failure(Failure)
}

/// What came of a request. `wait`: the seconds that the service asked for. A defect is given up after a few times.
private struct Failure {
    enum Fate { case signedOut, denied, broken, wait, defect, offline }

    static let offline = Failure(.offline, "offline")

    let fate: Fate
    let code: String
    let status: Int?
    let wait: TimeInterval?

    init(_ fate: Fate, _ code: String, status: Int? = nil, wait: TimeInterval? = nil) {
        self.fate = fate
        self.code = code
        self.status = status
        self.wait = wait
    }

    init(_ answer: HTTPAnswer, _ body: [String: Any]) {
        let code = body["code"] as? String ?? "http_\(answer.status)"
        let seconds = answer.retryAfter.map { Double($0) } ?? body["retry_after"] as? Double
        let wait = seconds.flatMap { $0 > 0 ? min($0, longestWait) : nil }
        self.init(Failure.fate(answer.status, code), code, status: answer.status, wait: wait)
    }

    private static func fate(_ status: Int, _ code: String) -> Fate {
        if status == 401 || code == "user_gone" { return .signedOut }
        if status == 403 { return .denied }
        if status == 429 || status == 503 { return .wait }
        // What Whop refuses to this service until its operator acts.
        let refusedByWhop = ["whop_unauthorized", "whop_forbidden", "whop_rejected"].contains(code)
        return status >= 500 && !refusedByWhop ? .defect : .broken
    }
}

/// The `sub` of a JWT that Cognito issued. It is not verified here: the service does that.
private func subject(of jwt: String) -> String? {
    let parts = jwt.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 1 else { return nil }
    let base64 = parts[1].replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
    let padded = base64 + String(repeating: "=", count: (4 - base64.count % 4) % 4)
    return Data(base64Encoded: padded).flatMap { members(of: $0)["sub"] as? String }
}

/// The account of an answer to `POST /oauth/whop/complete`.
private func whopUser(in body: [String: Any]) -> WhopUser? {
    guard let user = body["whop_user"] as? [String: Any], let id = user["id"] as? String, !id.isEmpty else { return nil }
    let text = { (name: String) in user[name] as? String }
    return WhopUser(id: id, name: text("name"), username: text("username"), picture: text("picture"))
}

private func members(of json: Data) -> [String: Any] {
    (try? JSONSerialization.jsonObject(with: json)) as? [String: Any] ?? [:]
}

private func timestamp(_ text: String) -> Date? {
    ISO8601DateFormatter().date(from: text)
}

private func httpDate(_ text: String) -> Date? {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "GMT")
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
    return format.date(from: text)
}
