import { Violation } from '../model/verdicts.ts';
import { closePayload, eventText } from '../wire/expect.ts';
import { BINARY, CLOSE, TEXT } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fits, type Names, type Step } from './case-data.ts';

type Message = Readonly<Record<string, unknown>>;

/** Steps that a connection takes, whoever has dialed. */
export class Talk {
  readonly peer: Peer;
  readonly #names: Names;
  /** The items of a message after the first: each is judged as if it had come alone. */
  readonly #items: Message[] = [];

  constructor(peer: Peer, names: Names) {
    this.peer = peer;
    this.#names = names;
  }

  async step(step: Step): Promise<void> {
    const { peer } = this;
    if (step.send !== undefined) {
      for (let n = 1; n <= (step.times ?? 1); n++) {
        this.#names.set('n', n);
        await this.send(this.#names.fill(step.send));
      }
    }
    if (step.binary !== undefined) {
      await peer.sendFrames({ opcode: BINARY, payload: Buffer.from(step.binary, 'hex') });
    }
    if (step.expect !== undefined) await this.#expect(step);
    if (step.close !== undefined) {
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(step.close) });
      peer.endWrites();
    }
    if (step.cut === true) peer.reset();
  }

  /** Sends a message; `jsonrpc` is added to an object. */
  async send(message: unknown): Promise<void> {
    const text =
      typeof message === 'string'
        ? message
        : JSON.stringify({ jsonrpc: '2.0', ...Object(message) });
    await this.peer.sendFrames({ opcode: TEXT, payload: Buffer.from(text) });
  }

  async #expect({ expect, as, skip, most = 0 }: Step): Promise<void> {
    let skipped = 0;
    const left = [this.#names.fill(expect)].flat();
    while (left.length > 0) {
      const event = await this.#next(shown(left[0]));
      const at = left.findIndex((one) => fits(event, one));
      if (at === -1 && skip !== undefined && fits(event, this.#names.fill(skip))) {
        if (++skipped > most) throw new Violation(`received more than ${most} of ${shown(skip)}`);
        continue;
      }
      if (at === -1 && (await this.#passes(event))) continue;
      if (at === -1) throw new Violation(`received ${shown(event)}, expected ${shown(left[0])}`);
      left.splice(at, 1);
      if (as !== undefined) this.#names.set(as, event);
    }
  }

  /** The next message; for a close frame, its code as `close`; for an end without one, `end`. */
  async #next(awaited: string): Promise<Message> {
    const item = this.#items.shift();
    if (item !== undefined) return item;
    const event = await this.peer.next(awaited, { answersPings: true });
    if (event.kind === 'close') {
      const answer = event.code === undefined ? Buffer.alloc(0) : closePayload(event.code);
      await this.peer.sendFrames({ opcode: CLOSE, payload: answer });
      return { close: event.code ?? 1005 };
    }
    if (event.kind === 'end') return { end: event.how };
    if (event.kind !== 'message' || event.opcode !== TEXT) {
      throw new Violation(`received ${eventText(event)}, expected a text message`);
    }
    let value: unknown;
    try {
      value = JSON.parse(event.payload.toString());
    } catch {
      throw new Violation('received a text that is no JSON');
    }
    if (!fits(value, { jsonrpc: '2.0' })) {
      throw new Violation(`received ${shown(value)}, which is no object of JSON-RPC 2.0`);
    }
    const { method, params } = value as Message;
    const { id, items } = Object(params) as Message;
    if (method !== '$/item' || !Array.isArray(items)) return value as Message;
    this.#items.push(...items.map((one) => ({ method, params: { id, items: [one] } })));
    return this.#next(awaited);
  }

  /** Answers and passes over what each end may send at any time. */
  async #passes({ id, method }: Message): Promise<boolean> {
    if (method === '$/alive' && id !== undefined) await this.send({ id, result: null });
    else if (method === '$/hello') await this.send({ id, result: { wire: 1 } });
    else if (id !== undefined) return false;
    return /^(?:\$\/|room\.members$)/.test(String(method));
  }
}

const MAX_SHOWN = 300;

/** The start of a value as JSON. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
