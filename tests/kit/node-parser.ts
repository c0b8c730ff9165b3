// The verdict of node:http about a head, without a socket.
import { createServer, request, type Server } from 'node:http';
import { Duplex } from 'node:stream';

/** The other end of a stream in memory. Drops what is written. */
function memoryStream(): Duplex {
  return new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done();
    },
  });
}

/** Resolves after all work of the parser: it reads a stream's bytes within two turns. */
async function parsed(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate);
}

/** Whether `http.Server` takes `bytes` for the head of a request, for an upgrade or not. */
export class NodeRequestParser {
  readonly #server: Server;
  #accepted = false;

  constructor() {
    const accept = (): void => void (this.#accepted = true);
    this.#server = createServer({ insecureHTTPParser: false }, accept)
      .on('upgrade', accept)
      .on('connect', accept)
      .on('checkContinue', accept)
      .on('checkExpectation', accept)
      .on('clientError', (_error, socket) => socket.destroy());
  }

  async accepts(bytes: Uint8Array): Promise<boolean> {
    this.#accepted = false;
    const stream = memoryStream().on('error', () => {});
    this.#server.emit('connection', stream);
    stream.push(bytes);
    await parsed();
    stream.destroy();
    return this.#accepted;
  }
}

/** Whether a client of node:http takes `bytes` for the head of a response. */
export async function nodeAcceptsResponse(bytes: Uint8Array): Promise<boolean> {
  const stream = memoryStream();
  let accepted = false;
  const accept = (): void => void (accepted = true);
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket' };
  const sent = request({ createConnection: () => stream, headers, insecureHTTPParser: false })
    .on('response', accept)
    .on('upgrade', accept)
    .on('information', accept)
    .on('error', () => {});
  sent.end();
  await parsed();
  stream.push(bytes);
  await parsed();
  stream.destroy();
  await parsed();
  return accepted;
}
