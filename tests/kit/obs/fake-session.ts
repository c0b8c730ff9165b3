import { createHash, randomBytes } from 'node:crypto';
import { decode as decodeMsgpack, encode as encodeMsgpack } from '@msgpack/msgpack';
import type { Conn, Message } from '@ws/node-server';
import type { Data } from './fake-scenes.ts';

/** A message for which OBS closes the connection. */
export class Fault extends Error {
  readonly closeCode: number;

  constructor(closeCode: number, reason: string) {
    super(reason);
    this.closeCode = closeCode;
  }
}

/** The connection of a client. */
export class Session {
  readonly salt = randomBytes(32).toString('base64');
  readonly challenge = randomBytes(32).toString('base64');
  readonly conn: Conn;
  readonly #isBinary: boolean;
  identified = false;
  subscriptions = 0;

  constructor(conn: Conn) {
    this.conn = conn;
    this.#isBinary = conn.subprotocol === 'obswebsocket.msgpack';
  }

  proof(password: string): string {
    const digest = (text: string): string => createHash('sha256').update(text).digest('base64');
    return digest(digest(password + this.salt) + this.challenge);
  }

  send(op: number, d: Data): void {
    const fields = { op, d };
    // As JSON does, leave out fields that are undefined.
    void this.conn.send(
      this.#isBinary ? encodeMsgpack(fields, { ignoreUndefined: true }) : JSON.stringify(fields),
    );
  }

  /**
   * Returns the fields of a message.
   *
   * @throws Fault.
   */
  read(message: Message): { op: number; d: Data } {
    let fields: unknown;
    try {
      fields = this.#isBinary ? decodeMsgpack(message.data) : message.json();
    } catch (error) {
      throw new Fault(4002, `Unable to decode Json: ${String(error)}`.slice(0, 100));
    }
    if (!isObject(fields)) throw new Fault(4002, 'You sent a non-object payload.');
    const { op, d } = fields;
    if (typeof op !== 'number') throw new Fault(4006, 'Your request is missing an `op`.');
    if (!isObject(d)) throw new Fault(4003, 'Your payload is missing data (`d`).');
    return { op, d };
  }
}

export function isObject(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
