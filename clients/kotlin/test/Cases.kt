package whopchat

import java.io.File
import java.util.concurrent.CancellationException
import kotlin.system.exitProcess

/** A client, and the app around it. */
private class App(private val world: World, private val setting: Members) {
    private val calls = HashMap<String, Cancellable>()
    private var tokens = client()

    @Suppress("UNCHECKED_CAST")
    private fun client() = ChatTokens(
        "https://api.example.test/", world.user, world::cognitoToken, setting["features"] as List<String>?, world
    ) { wait ->
        val ms = wait.ms?.let { arrayOf("ms" to it.toDouble()) } ?: emptyArray()
        world.effect("effect" to "wait", "code" to wait.code, *ms)
    }

    private fun settled(caller: String, value: Pair<String, Any>?, error: Throwable?) = when (error) {
        null -> world.effect("effect" to "resolve", "caller" to caller, *(value?.let { arrayOf(it) } ?: emptyArray()))
        is CancellationException -> world.effect("effect" to "reject", "caller" to caller, "kind" to "aborted")
        is ChatException ->
            world.effect("effect" to "reject", "caller" to caller, "kind" to error.kind, "code" to error.code, "show" to error.show)
        else -> throw error
    }

    private fun members(user: WhopUser) =
        mapOf("id" to user.id, "name" to user.name, "username" to user.username, "picture" to user.picture)

    fun play(event: Members) {
        val caller = event.text("caller") ?: ""
        when (event["event"]) {
            "call" -> calls[caller] = tokens.token { settled(caller, it.getOrNull()?.let { "token" to it.token }, it.exceptionOrNull()) }
            "sync" -> calls[caller] = tokens.sync { settled(caller, null, it.exceptionOrNull()) }
            "link" -> calls[caller] = tokens.link(event.text("return_to")!!) {
                settled(caller, it.getOrNull()?.let { "url" to it }, it.exceptionOrNull())
            }
            "complete" -> calls[caller] = tokens.complete(event.text("result")!!) {
                settled(caller, it.getOrNull()?.let { "account" to members(it) }, it.exceptionOrNull())
            }
            "unlink" -> calls[caller] = tokens.unlink { settled(caller, null, it.exceptionOrNull()) }
            "abort" -> calls.getValue(caller).cancel()
            "signOut" -> tokens.close()
            "switchUser" -> {
                tokens.close()
                world.user = event.text("user")!!
                tokens = client()
            }
            "offline" -> tokens.offline()
            "online" -> tokens.online()
            "wake" -> {
                world.sleep(event.int("slept").toLong())
                tokens.wake()
            }
            else -> throw IllegalArgumentException("no event ${event["event"]}")
        }
    }
}

private fun played(setting: Members, until: Long = Long.MAX_VALUE): World {
    val world = World(setting)
    val app = App(world, setting)
    for (event in setting.list("events")) {
        world.until(event.int("at").toLong())
        app.play(event)
    }
    world.until(until)
    return world
}

private fun runCase(case: Members) {
    val world = played(case)
    for ((actual, expected) in world.effects.zip(case.list("effects"))) check(actual == expected) { "$actual\ninstead of $expected" }
    check(world.effects.size == case.list("effects").size) { "${world.effects.size} effects: ${world.effects.last()}" }
    check(world.answers.isEmpty()) { "answers that were not asked for" }
}

/** A problem ends a call, after as many answers as the table says, or makes it wait. */
private fun runProblem(code: String, problem: Members) {
    val waits = problem["kind"] == "wait"
    val answer = mapOf("status" to problem["status"], "code" to code) + if (waits) mapOf("retry_after" to 2.0) else emptyMap()
    val call = mapOf("at" to 0.0, "event" to "call", "caller" to "a")
    val setting = mapOf("answers" to List(problem.int("attempts", 1)) { answer }, "events" to listOf(call))
    val last = played(setting, if (waits) 1000 else Long.MAX_VALUE).effects.last() - setOf("at", "ms", "caller")
    val expected =
        if (waits) mapOf("effect" to "wait", "code" to code)
        else mapOf("effect" to "reject", "kind" to problem["kind"], "code" to code, "show" to problem["show"])
    check(last == expected) { "$last\ninstead of $expected" }
}

/** Runs every case of the file that is named, and the checks of the network. Prints a line for each. */
fun main(arguments: Array<String>) {
    @Suppress("UNCHECKED_CAST")
    val document = Json.value(File(arguments.single()).readText()) as Members
    @Suppress("UNCHECKED_CAST")
    val problems = document["problems"] as Map<String, Members>
    val cases = document.list("cases").map { it.text("name")!! to { runCase(it) } } +
        problems.map { (code, problem) -> "problem $code" to { runProblem(code, problem) } } +
        networkChecks
    var failed = 0
    for ((name, run) in cases) {
        try {
            run()
            println("ok $name")
        } catch (error: IllegalStateException) {
            failed++
            println("not ok $name\n${error.message}")
        }
    }
    println("${if (failed > 0) "FAILED" else "passed"}: $failed of ${cases.size} failed")
    exitProcess(if (failed > 0) 1 else 0)
}
