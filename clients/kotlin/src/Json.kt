package whopchat

/** Reads and writes JSON (RFC 8259), because neither Kotlin nor the JVM does. Numbers are doubles. */
internal class Json private constructor(private val text: String) {
    private var at = 0

    companion object {
        /** The members of the object in [text]. Empty if it is something else. */
        @Suppress("UNCHECKED_CAST")
        fun members(text: String): Map<String, Any?> = try {
            value(text) as? Map<String, Any?> ?: emptyMap()
        } catch (error: IllegalArgumentException) {
            emptyMap()
        }

        /** The JSON of texts, of lists and of maps from texts. */
        fun text(value: Any): String = when (value) {
            is Map<*, *> -> value.entries.joinToString(",", "{", "}") { (name, each) -> text(name!!) + ":" + text(each!!) }
            is List<*> -> value.joinToString(",", "[", "]") { text(it!!) }
            else -> value.toString().map(::quoted).joinToString("", "\"", "\"")
        }

        private fun quoted(char: Char) = if (char < ' ' || char in "\"\\") "\\u%04x".format(char.toInt()) else char.toString()

        /** The value of [text]. Throws [IllegalArgumentException] if it is not JSON. */
        fun value(text: String): Any? {
            val json = Json(text)
            val value = json.value()
            json.skipSpace()
            require(json.at == text.length)
            return value
        }
    }

    private fun value(): Any? {
        skipSpace()
        return when (peek()) {
            '{' -> items('{', '}') { string().also { expect(':') } to value() }.toMap()
            '[' -> items('[', ']') { value() }
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun <T> items(open: Char, close: Char, item: () -> T): List<T> {
        expect(open)
        val items = ArrayList<T>()
        skipSpace()
        if (peek() == close) at++
        else {
            do items.add(item()) while (next(',', close) == ',')
        }
        return items
    }

    private fun string(): String {
        expect('"')
        val read = StringBuilder()
        while (true) {
            val char = peek()
            at++
            when (char) {
                '"' -> return read.toString()
                '\\' -> read.append(escaped())
                else -> read.append(char)
            }
        }
    }

    private fun escaped(): Char {
        val char = peek()
        at++
        return when (char) {
            'n' -> '\n'
            't' -> '\t'
            'r' -> '\r'
            'b' -> '\b'
            'f' -> '\u000c'
            'u' -> {
                require(at + 4 <= text.length)
                at += 4
                text.substring(at - 4, at).toInt(16).toChar()
            }
            else -> char
        }
    }

    private fun number(): Double {
        val start = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        return text.substring(start, at).toDouble()
    }

    private fun <T> word(word: String, value: T): T {
        require(text.startsWith(word, at))
        at += word.length
        return value
    }

    private fun next(vararg wanted: Char): Char {
        skipSpace()
        val char = peek()
        require(char in wanted)
        at++
        return char
    }

    private fun expect(wanted: Char) {
        next(wanted)
    }

    private fun peek(): Char {
        require(at < text.length)
        return text[at]
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }
}
