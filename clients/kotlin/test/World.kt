package whopchat

import java.net.URI
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import java.util.Base64

internal typealias Members = Map<String, Any?>

internal fun Members.int(name: String, otherwise: Int = 0): Int = (this[name] as Double?)?.toInt() ?: otherwise
internal fun Members.text(name: String): String? = this[name] as String?

@Suppress("UNCHECKED_CAST")
internal fun Members.list(name: String): List<Members> = this[name] as List<Members>? ?: emptyList()

/** A virtual clock, a Cognito session, a service and a source of chance. */
internal class World(private val setting: Members) : Platform {
    val effects = ArrayList<Members>()
    val answers = ArrayList(setting.list("answers"))
    var user = "ada"
    private val cognito = ArrayList(setting.list("cognito"))
    private var chance = setting.int("seed", 20261123).toLong()
    private var cognitoTokens = 1

    // Timers run on `elapsed`. While the device sleeps, only the wall clock goes on, by `slept`.
    private var elapsed = 0L
    private var slept = 0L
    private val timers = ArrayList<Timer>()

    private inner class Timer(val time: Long, val run: () -> Unit, val cancelled: () -> Unit = {}) : Cancellable {
        override fun cancel() {
            if (timers.remove(this)) cancelled()
        }
    }

    val at get() = elapsed + slept

    fun effect(vararg members: Pair<String, Any?>) {
        effects.add(mapOf("at" to at.toDouble(), *members))
    }

    /** Runs what happens before or at [time] on the wall clock, in order. */
    fun until(time: Long) {
        while (true) {
            val next = timers.sortedBy { it.time }.firstOrNull() ?: break
            if (next.time + slept > time) break
            timers.remove(next)
            elapsed = next.time
            next.run()
        }
        if (time < Long.MAX_VALUE) elapsed = time - slept
    }

    fun sleep(ms: Long) {
        slept += ms
    }

    override fun now() = START + at + setting.int("clock_ahead")

    override fun random(): Double {
        chance = chance * 48271 % 2147483647
        return chance / 2147483647.0
    }

    override fun later(ms: Long, run: () -> Unit) = timer(ms, run)

    private fun timer(ms: Long, run: () -> Unit, cancelled: () -> Unit = {}): Cancellable =
        Timer(elapsed + ms, run, cancelled).also { timers.add(it) }

    fun cognitoToken(forceRefresh: Boolean, done: (Result<String?>) -> Unit) {
        effect("effect" to "cognito", "refresh" to forceRefresh)
        val script = if (cognito.isEmpty()) emptyMap() else cognito.removeAt(0)
        val answer = {
            when {
                "fails" in script -> done(Result.failure(Exception("Cognito cannot be reached")))
                "signed_out" in script -> done(Result.success(null))
                else -> {
                    if (forceRefresh) cognitoTokens++
                    done(Result.success(script.text("token") ?: jwt(script.text("user") ?: user)))
                }
            }
        }
        if ("after" in script) timer(script.int("after").toLong(), answer) else answer()
    }

    private fun jwt(sub: String): String {
        fun part(json: String) = Base64.getUrlEncoder().withoutPadding().encodeToString(json.toByteArray())
        return part("{\"kid\":\"c$cognitoTokens\"}") + "." + part("{\"sub\":\"$sub\",\"name\":\"Zoë?>~\"}") + ".c"
    }

    override fun send(
        method: String, url: String, headers: Map<String, String>, body: String?, done: (HttpAnswer?) -> Unit
    ): Cancellable {
        check((body == null) == (headers["Content-Type"] == null))
        val jwt = headers.getValue("Authorization").removePrefix("Bearer ")
        val kid = Json.members(String(Base64.getUrlDecoder().decode(jwt.substringBefore("."))))["kid"]
        val named = if (method == "POST") emptyMap() else mapOf("method" to method)
        val asked = named + if (body == null) emptyMap() else Json.members(body)
        effect("effect" to "request", "path" to URI(url).path, "cognito" to kid, *asked.toList().toTypedArray())
        check(answers.isNotEmpty()) { "the case has no answer for this request" }
        val script = answers.removeAt(0)
        return timer(script.int("after", 100).toLong(), { done(if ("network" in script) null else answer(script)) }) {
            effect("effect" to "cancel")
        }
    }

    /** The service's clock is right, and it counts in seconds. */
    private fun answer(script: Members): HttpAnswer {
        val now = Instant.ofEpochSecond((START + at) / 1000)
        val status = script.int("status", 200)
        val wait = script["retry_after"]?.let { if (it is Double) it.toInt().toString() else it.toString() }
        val header = wait.takeIf { script["header"] != false }
        val told = if (script["retry_after"] is Double) ", \"retry_after\": $wait" else ""
        val document = when {
            "body" in script -> script.text("body")!!
            "token" in script -> {
                val expiry = now.plusSeconds(script.int("lives", 3600).toLong())
                val refresh = now.plusSeconds(script.int("refresh", 2880).toLong())
                """{"token": "${script.text("token")}", "expires_at": "$expiry", "refresh_after": "$refresh"}"""
            }
            "code" in script -> """{"status": $status, "code": "${script.text("code")}"$told}"""
            else -> ""
        }
        val date = if (script["date"] == false) null else DateTimeFormatter.RFC_1123_DATE_TIME.format(now.atOffset(ZoneOffset.UTC))
        return HttpAnswer(status, header, date, document)
    }

    private companion object {
        const val START = 1_800_000_000_000L
    }
}
