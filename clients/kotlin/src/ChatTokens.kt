package whopchat

import java.time.Instant
import java.time.format.DateTimeFormatter
import java.util.ArrayDeque
import java.util.Base64
import java.util.concurrent.CancellationException

/** A token for Whop's chat. Times are milliseconds on this device's clock. */
class ChatToken(val token: String, val expiresAt: Long, val refreshAt: Long)

/** The Whop account that a user has linked. */
class WhopUser(val id: String, val name: String?, val username: String?, val picture: String?)

/** No token: [kind] says what the app does, [code] why, [show] what the user sees. */
class ChatException(val kind: String, val code: String) : Exception("no chat token: $kind ($code)") {
    val show: String = SHOW_FOR[code] ?: SHOW.getValue(kind)
}

/** Why callers have to wait, and the milliseconds. Without [ms]: until the device is online. */
class Wait(val code: String, val ms: Long?)

/** What can be given up: a call, a request or a timer. */
interface Cancellable {
    fun cancel()
}

class HttpAnswer(val status: Int, val retryAfter: String?, val date: String?, val body: String)

/** The clock, chance, timers and the network. None of them may call back before it returns. */
interface Platform {
    fun now(): Long

    /** At least 0, less than 1. */
    fun random(): Double

    fun later(ms: Long, run: () -> Unit): Cancellable

    /** Sends a request that follows no redirect. Answers null if the network fails. */
    fun send(method: String, url: String, headers: Map<String, String>, body: String?, done: (HttpAnswer?) -> Unit): Cancellable
}

/**
 * Whop chat tokens for one signed-in Cognito user. `clients/cases.json` fixes what it does, step by step.
 *
 * @param apiUrl the stack's output `ApiUrl`
 * @param userId the `sub` of the signed-in user. Tokens of other users are refused.
 * @param cognitoToken answers the user's Cognito access token, or null if nobody is signed in. It fails if that cannot
 *   be known now. Its first argument says whether to refresh the token first.
 * @param features less than the user may do: `channels`, `dms`, `support`
 * @param onWait called when callers have to wait
 */
class ChatTokens(
    private val apiUrl: String,
    private val userId: String,
    private val cognitoToken: (Boolean, (Result<String?>) -> Unit) -> Unit,
    private val features: List<String>? = null,
    private val platform: Platform = JvmPlatform(),
    private val onWait: (Wait) -> Unit = {}
) {
    private val lock = Any()
    // Calls to the app, which are made without the lock.
    private val outbox = ArrayDeque<() -> Unit>()
    private val runs = LinkedHashSet<Run>()
    private var shared: Run? = null
    private var kept: ChatToken? = null
    private var refusal: ChatException? = null
    private var refusedUntil = 0L
    private var online = true

    // Counts the changes of the user's Whop account. A token that was asked for before a change is not used.
    private var account = 0

    // No request before this time, and why. `told`: the service named the time, so being online again does not end it.
    private var notBefore = 0L
    private var reason = ""
    private var told = false

    // The streak of failures since the last success.
    private var failures = 0
    private var refreshed = false
    private var forceRefresh = false

    /** Answers a token, kept or new. It waits as long as it has to. Fails with a [ChatException] or a cancellation. */
    fun token(done: (Result<ChatToken>) -> Unit): Cancellable = entered {
        val refused = refusal?.takeIf { platform.now() < refusedUntil }
        val usable = usable()
        when {
            refused != null -> answered { done(Result.failure(refused)) }
            usable != null && platform.now() < usable.refreshAt -> answered { done(Result.success(usable)) }
            else -> {
                val body = features?.let { Json.text(mapOf("features" to it)) }
                val run = shared ?: start(Run("/chat/token", body = body, mints = true, read = ::chatToken)).also { shared = it }
                join(run, done)
            }
        }
    }

    /** Tells the service that the user's name has changed. Answers when the service has noted it. */
    fun sync(done: (Result<Unit>) -> Unit): Cancellable =
        tell(Run("/chat/sync", read = { _, _ -> Unit }, noted = { refusal = null }), done)

    /**
     * Answers the URL at which the user signs in to Whop. Open it in the system's browser. Whop then sends the browser
     * back to [returnTo], one of the stack's `OAuthReturnUrls`. Its fragment gets a `result` for [complete], or an `error`.
     */
    fun link(returnTo: String, done: (Result<String>) -> Unit): Cancellable =
        tell(Run(LINK, body = Json.text(mapOf("return_to" to returnTo)), read = { body, _ -> body["authorize_url"] as? String }), done)

    /**
     * Links the account that signed in at Whop, and answers it. From now on there are tokens of that account only. A
     * result is good once, so no failure is waited for: after any, [link] again.
     */
    fun complete(result: String, done: (Result<WhopUser>) -> Unit): Cancellable {
        val body = Json.text(mapOf("result" to result))
        return tell(Run("/oauth/whop/complete", body = body, once = true, read = ::whopUser, noted = ::change), done)
    }

    /** Unlinks the user's own Whop account. From now on there are no tokens of that account. */
    fun unlink(done: (Result<Unit>) -> Unit): Cancellable =
        tell(Run(LINK, method = "DELETE", read = { _, _ -> Unit }, noted = ::change), done)

    /** The user has signed out, or another one has signed in. Nothing under way is answered, and nothing is asked. */
    fun close() = entered { close(ChatException("signed-out", "signed_out")) }

    /** The device is offline: nothing is asked until it is online. */
    fun offline() = entered { online = false }

    /** The device is online again. Ends every wait but one that the service asked for. */
    fun online() = entered {
        online = true
        if (!told) notBefore = 0
        wakeRuns()
    }

    /** The device was asleep, and its timers with it: the clock is read again. */
    fun wake() = entered { wakeRuns() }

    // ---------------------------------------------------------------------------------------------- callers and runs

    private class Caller(val done: (Result<Any>) -> Unit)

    /**
     * One request that callers share. It ends when the last of them leaves.
     *
     * @param once it is not sent again after a wait
     * @param read the answer's value from its body, or null if it makes no sense. Its second argument brings a time of the
     *   service's clock to this device's clock.
     * @param noted called with the answer, before the callers are
     */
    private class Run(
        val path: String,
        val method: String = "POST",
        val body: String? = null,
        val mints: Boolean = false,
        val once: Boolean = false,
        val read: (Map<String, Any?>, Long) -> Any?,
        val noted: () -> Unit = {}
    ) {
        val callers = LinkedHashSet<Caller>()
        var account = 0
        var ended = false
        var asleep = false
        var retried = false
        var request: Cancellable? = null
        var timer: Cancellable? = null

        fun stop() {
            request?.cancel()
            timer?.cancel()
            request = null
            timer = null
            asleep = false
        }
    }

    /** Runs [change] alone, and then calls the app. */
    private fun <T> entered(change: () -> T): T {
        val value = synchronized(lock) { change() }
        while (true) (synchronized(lock) { outbox.poll() } ?: return value)()
    }

    private fun answered(call: () -> Unit): Cancellable {
        outbox.add(call)
        return object : Cancellable {
            override fun cancel() = Unit
        }
    }

    private fun start(run: Run): Run {
        runs.add(run)
        gate(run)
        return run
    }

    private fun <T> tell(run: Run, done: (Result<T>) -> Unit): Cancellable = entered {
        val closed = refusal?.takeIf { refusedUntil == Long.MAX_VALUE }
        if (closed != null) answered { done(Result.failure(closed)) } else join(start(run), done)
    }

    @Suppress("UNCHECKED_CAST")
    private fun <T> join(run: Run, done: (Result<T>) -> Unit): Cancellable {
        val caller = Caller { result -> done(result.map { it as T }) }
        run.callers.add(caller)
        return object : Cancellable {
            override fun cancel() = entered {
                if (run.callers.remove(caller)) {
                    if (run.callers.isEmpty()) end(run, Result.failure(CancellationException()))
                    outbox.add { done(Result.failure(CancellationException())) }
                }
            }
        }
    }

    private fun end(run: Run, result: Result<Any>) {
        run.ended = true
        run.stop()
        runs.remove(run)
        if (shared === run) shared = null
        for (caller in run.callers) outbox.add { caller.done(result) }
        run.callers.clear()
    }

    private fun close(error: ChatException) {
        kept = null
        refusal = error
        refusedUntil = Long.MAX_VALUE
        for (run in runs.toList()) end(run, Result.failure(error))
    }

    /** The user's Whop account is another one: forgets what belongs to the one before. */
    private fun change() {
        account++
        kept = null
        refusal = null
        wakeRuns()
    }

    private fun wakeRuns() {
        for (run in runs.filter { it.asleep }) {
            run.stop()
            gate(run)
        }
    }

    /** The kept token, if two minutes of it are left. */
    private fun usable(): ChatToken? =
        kept?.takeIf { it.expiresAt - platform.now() >= TWO_MINUTES }
            ?.let { ChatToken(it.token, it.expiresAt, maxOf(it.refreshAt, notBefore)) }

    // ------------------------------------------------------------------------------------------------------- asking

    /** Sends the request of [run] as soon as it may be sent. */
    private fun gate(run: Run) {
        val due = if (run.mints) kept?.refreshAt ?: 0 else 0
        val ms = maxOf(due, notBefore) - platform.now()
        if (online && ms <= 0) {
            run.retried = false
            run.account = account
            return ask(run)
        }
        val wait = if (online) Wait(if (due > notBefore) "refresh_after" else reason, ms) else Wait("offline", null)
        outbox.add { onWait(wait) }
        run.asleep = true
        if (online) run.timer = platform.later(ms) {
            entered {
                if (run.asleep) {
                    run.stop()
                    gate(run)
                }
            }
        }
    }

    private fun ask(run: Run) {
        val force = forceRefresh
        outbox.add {
            cognitoToken(force) { result -> entered { if (!run.ended) authorized(run, result) } }
        }
    }

    private fun authorized(run: Run, result: Result<String?>) {
        if (result.isFailure) return judge(run, if (online) Failure("wait", "cognito") else OFFLINE)
        val cognito = result.getOrNull()
        if (cognito.isNullOrEmpty()) return judge(run, Failure("signed-out", "no_session"))
        if (subject(cognito) != userId) return close(ChatException("signed-out", "other_user"))
        forceRefresh = false
        send(run, cognito)
    }

    private fun send(run: Run, cognito: String) {
        val headers = mapOf("Authorization" to "Bearer $cognito") +
            if (run.body == null) emptyMap() else mapOf("Content-Type" to "application/json")
        val sentAt = platform.now()
        val request = platform.send(run.method, apiUrl.trimEnd('/') + run.path, headers, run.body) { answer ->
            entered {
                if (run.request != null) {
                    run.request = null
                    run.stop()
                    if (answer == null) judge(run, if (online) Failure("wait", "network") else OFFLINE)
                    else read(run, answer, sentAt)
                }
            }
        }
        run.request = request
        run.timer = platform.later(PATIENCE) {
            entered {
                if (run.request === request) {
                    run.stop()
                    judge(run, Failure("wait", "timeout"))
                }
            }
        }
    }

    private fun read(run: Run, answer: HttpAnswer, sentAt: Long) {
        val body = Json.members(answer.body)
        if (answer.status !in 200..299) return judge(run, failureOf(answer, body))
        // Without a readable date, both clocks count as equal.
        val shift = sentAt - (answer.date?.let(::httpDate) ?: sentAt)
        val value = run.read(body, shift) ?: return judge(run, Failure("defect", "invalid_response", answer.status))
        failures = 0
        refreshed = false
        if (outdated(run)) return gate(run)
        if (run.mints) kept = value as ChatToken
        run.noted()
        end(run, Result.success(value))
    }

    /** Whether [run] asked for a token of an account that the user no longer has. */
    private fun outdated(run: Run) = run.mints && run.account != account

    private fun judge(run: Run, failure: Failure) {
        val (kind, code) = failure
        // A browser can hide a 401 behind a network error. All clients do the same.
        val stale = code == "network" || failure.status == 401
        if (stale && !refreshed && !run.retried) {
            refreshed = true
            forceRefresh = true
            run.retried = true
            return ask(run)
        }
        if (kind == "offline") return gate(run)
        if (kind == "signed-out" || kind == "denied") return refuse(run, ChatException(kind, code))
        backOff(failure)
        val instead = if (run.mints) usable() else null
        when {
            instead != null -> end(run, Result.success(instead))
            kind == "broken" || run.once || (kind == "defect" && failures >= MOST_FAILURES) ->
                refuse(run, ChatException("broken", code))
            else -> gate(run)
        }
    }

    private fun refuse(run: Run, error: ChatException) {
        if (outdated(run)) return gate(run)
        if (run.mints) {
            kept = null
            refusal = error
            refusedUntil = platform.now() + REMEMBERED
        }
        end(run, Result.failure(error))
    }

    private fun backOff(failure: Failure) {
        told = failure.ms != null
        reason = failure.code
        val wait = failure.ms?.let { it * (1 + platform.random() / 10) }
            ?: minOf(60_000.0, 1000 * Math.pow(2.0, (failures++).toDouble())) * (1 - platform.random() / 2)
        notBefore = platform.now() + Math.round(wait)
    }

    private fun chatToken(body: Map<String, Any?>, shift: Long): ChatToken? {
        val token = (body["token"] as? String)?.takeIf { it.isNotEmpty() } ?: return null
        val expiresAt = (body["expires_at"] as? String)?.let(::timestamp) ?: return null
        val refreshAfter = (body["refresh_after"] as? String)?.let(::timestamp) ?: return null
        return ChatToken(token, expiresAt + shift, maxOf(refreshAfter + shift, platform.now() + SHORTEST_USE))
    }
}

/** The account of an answer to `POST /oauth/whop/complete`. */
private fun whopUser(body: Map<String, Any?>, @Suppress("UNUSED_PARAMETER") shift: Long): WhopUser? {
    val user = body["whop_user"] as? Map<*, *>
    val id = (user?.get("id") as? String)?.takeIf { it.isNotEmpty() } ?: return null
    return WhopUser(id, user["name"] as? String, user["username"] as? String, user["picture"] as? String)
}

private const val LINK = "/oauth/whop/link"
private const val TWO_MINUTES = 120_000L
private const val REMEMBERED = 60_000L
private const val PATIENCE = 15_000L
private const val LONGEST_WAIT = 3_600_000.0
private const val SHORTEST_USE = 10_000L
private const val MOST_FAILURES = 4

private val SHOW = mapOf("signed-out" to "sign-in", "denied" to "not-allowed", "broken" to "unavailable")
private val SHOW_FOR = mapOf(
    "no_verified_email" to "verify-email",
    "enrolment_rejected" to "change-email",
    "provider_not_trusted" to "other-sign-in",
    "identity_conflict" to "contact-support",
    "identity_mismatch" to "contact-support",
    "enrolment_blocked" to "contact-support",
    "link_required" to "link-account",
    "link_expired" to "link-account"
)

/** What Whop refuses to this service until its operator acts. */
private val REFUSED_BY_WHOP = setOf("whop_unauthorized", "whop_forbidden", "whop_rejected")

/** What came of a request. [ms]: the wait that the service asked for. A defect is given up after a few times. */
private data class Failure(val kind: String, val code: String, val status: Int? = null, val ms: Double? = null)

private val OFFLINE = Failure("offline", "offline")

private fun failureOf(answer: HttpAnswer, body: Map<String, Any?>): Failure {
    val code = body["code"] as? String ?: "http_${answer.status}"
    val seconds = if (answer.retryAfter != null) answer.retryAfter.toDoubleOrNull() else body["retry_after"] as? Double
    return Failure(kindOf(answer.status, code), code, answer.status, seconds?.takeIf { it > 0 }?.let { minOf(it * 1000, LONGEST_WAIT) })
}

private fun kindOf(status: Int, code: String): String = when {
    status == 401 || code == "user_gone" -> "signed-out"
    status == 403 -> "denied"
    status == 429 || status == 503 -> "wait"
    status >= 500 && code !in REFUSED_BY_WHOP -> "defect"
    else -> "broken"
}

/** The `sub` of a JWT that Cognito issued. It is not verified here: the service does that. */
private fun subject(jwt: String): Any? = try {
    Json.members(String(Base64.getUrlDecoder().decode(jwt.split(".").getOrElse(1) { "" })))["sub"]
} catch (error: IllegalArgumentException) {
    null
}

private fun timestamp(text: String): Long? = try {
    Instant.parse(text).toEpochMilli()
} catch (error: RuntimeException) {
    null
}

private fun httpDate(text: String): Long? = try {
    Instant.from(DateTimeFormatter.RFC_1123_DATE_TIME.parse(text)).toEpochMilli()
} catch (error: RuntimeException) {
    null
}
