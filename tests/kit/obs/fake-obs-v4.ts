import { createHash, randomBytes } from 'node:crypto';
import { type Conn, serve, type WsServer } from '@ws/node-server';
import { readProtocol, sampleOf } from './protocol.ts';

interface Protocol {
  readonly requests: readonly {
    readonly name: string;
    readonly params: readonly Field[];
    readonly returns: readonly Field[];
  }[];
}

interface Field {
  readonly name: string;
  readonly type: string;
}

type Data = Readonly<Record<string, unknown>>;

/**
 * A server of obs-websocket 4, made from the list of its requests. It has scenes. Other requests get
 * empty values of the right types.
 */
export class FakeObsV4 implements AsyncDisposable {
  readonly #password: string | undefined;
  readonly #protocol = readProtocol('protocol-v4.json') as Protocol;
  readonly #conns = new Set<Conn>();
  readonly #scenes = ['Scene', 'Camera'];
  #server!: WsServer;
  #scene = 'Scene';

  private constructor(password: string | undefined) {
    this.#password = password;
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(password?: string): Promise<FakeObsV4> {
    const fake = new FakeObsV4(password);
    fake.#server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => fake.#session(conn));
    return fake;
  }

  get url(): string {
    return this.#server.url;
  }

  emit(event: string, fields: Data = {}): void {
    for (const conn of this.#conns) void conn.writeJSON({ 'update-type': event, ...fields });
  }

  /** Sends a text as it is to every client. */
  sendRaw(text: string): void {
    for (const conn of this.#conns) void conn.send(text);
  }

  /** Ends every connection without a close frame. */
  crash(): void {
    for (const conn of this.#conns) conn.terminate();
  }

  async close(): Promise<void> {
    this.crash();
    await this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #session(conn: Conn): Promise<void> {
    this.#conns.add(conn);
    const salt = randomBytes(32).toString('base64');
    const challenge = randomBytes(32).toString('base64');
    let admitted = this.#password === undefined;
    // Protocol 4 sends events before the login too.
    this.emit('Heartbeat', { pulse: true });
    try {
      for await (const message of conn) {
        const request = message.json() as Data;
        const answer = (fields: Data): void => {
          const id = request['message-id'];
          void conn.writeJSON({ 'message-id': id, status: 'ok', ...fields });
        };
        const fail = (error: string): void => answer({ status: 'error', error });
        switch (request['request-type']) {
          case 'GetAuthRequired':
            answer(admitted ? { authRequired: false } : { authRequired: true, challenge, salt });
            break;
          case 'Authenticate':
            admitted = request['auth'] === proofOf(this.#password!, salt, challenge);
            if (admitted) answer({});
            else fail('Authentication Failed.');
            break;
          default:
            if (admitted) this.#answer(request, answer, fail);
            else fail('Not Authenticated');
        }
      }
    } finally {
      this.#conns.delete(conn);
    }
  }

  #answer(request: Data, answer: (fields: Data) => void, fail: (error: string) => void): void {
    const name = String(request['request-type']);
    const known = this.#protocol.requests.find((each) => each.name === name);
    if (known === undefined) return fail('invalid request type');
    const isMissing = ({ name, type }: Field): boolean =>
      !name.includes('.') && !/optional/i.test(type) && request[name] === undefined;
    if (known.params.some(isMissing)) return fail('missing request parameters');
    switch (name) {
      case 'GetSceneList': {
        const scenes = this.#scenes.map((scene) => ({ name: scene, sources: [] }));
        return answer({ 'current-scene': this.#scene, scenes });
      }
      case 'SetCurrentScene': {
        const scene = String(request['scene-name']);
        if (!this.#scenes.includes(scene)) return fail('requested scene does not exist');
        this.#scene = scene;
        answer({});
        return this.emit('SwitchScenes', { 'scene-name': scene, sources: [] });
      }
      default:
        return answer(samplesOf(known.returns));
    }
  }
}

function samplesOf(fields: readonly Field[]): Data {
  const top = fields.filter(({ name, type }) => !name.includes('.') && !/optional/i.test(type));
  return Object.fromEntries(top.map(({ name, type }) => [name, sampleOf(type)]));
}

function proofOf(password: string, salt: string, challenge: string): string {
  const digest = (text: string): string => createHash('sha256').update(text).digest('base64');
  return digest(digest(password + salt) + challenge);
}
