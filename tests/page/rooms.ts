// The server of rooms.mjs, and what a page may lack.
import { serveRooms } from '@ws/hub/rooms';
import { serve } from '@ws/node-server';
import { contract, event, method, stream } from '@ws/rpc';
import * as z from 'zod';
import { inReactNative } from '../kit/page-context.ts';

const api = contract({
  server: {
    echo: method(z.unknown(), z.unknown()),
    count: stream(z.number(), z.number()),
    cut: event(z.unknown()),
  },
});

export async function serveRoomsForPage(): Promise<{ url: string; close(): Promise<unknown> }> {
  const may = { history: true, mayJoin: true, mayPublish: true } as const;
  const rooms = serveRooms(
    { 'plain/*': may, 'state/*': { ...may, state: () => ({ notes: ['a'] }) } },
    {
      contract: api,
      handlers: {
        echo: (value) => value,
        async *count(last) {
          for (let i = 1; i <= last; i++) yield i;
        },
        cut: (_, { session }) => session.conn.terminate(),
      },
    },
  );
  const server = await serve({ port: 0, host: '127.0.0.1' }, rooms.handler);
  return { url: server.url, close: () => server.close() };
}

/** Removes a global, or a property of one, from a context. */
const REMOVALS: Readonly<Record<string, string>> = {
  'Array.prototype.toSorted and its family': `
    for (const name of ['toSorted', 'toReversed', 'toSpliced', 'with']) {
      delete Array.prototype[name];
      delete Int8Array.prototype.__proto__[name];
    }`,
  structuredClone: 'delete globalThis.structuredClone',
  crypto: 'delete globalThis.crypto',
  'crypto.randomUUID':
    'const { crypto: all } = globalThis; if (all) globalThis.crypto = { getRandomValues: (words) => all.getRandomValues(words) };',
  'AbortSignal.any and AbortSignal.timeout':
    'if (globalThis.AbortSignal) { delete AbortSignal.any; delete AbortSignal.timeout; }',
  AbortSignal: 'delete globalThis.AbortSignal',
  'Promise.withResolvers': 'delete Promise.withResolvers',
  'Array.fromAsync': 'delete Array.fromAsync',
  'the helpers of Iterator': `
    const { prototype } = globalThis.Iterator ?? { prototype: [].values().__proto__.__proto__ };
    for (const name of ['map', 'filter', 'take', 'drop', 'flatMap', 'reduce', 'toArray', 'forEach', 'some', 'every', 'find']) {
      delete prototype[name];
    }
    delete globalThis.Iterator;`,
  'Object.hasOwn': 'delete Object.hasOwn',
  'Array.prototype.at':
    'delete Array.prototype.at; delete String.prototype.at; delete Int8Array.prototype.__proto__.at',
  'Array.prototype.findLast': `
    for (const name of ['findLast', 'findLastIndex']) {
      delete Array.prototype[name];
      delete Int8Array.prototype.__proto__[name];
    }`,
  'the causes of errors': `
    for (const name of ['Error', 'TypeError', 'RangeError']) {
      const Base = globalThis[name];
      globalThis[name] = class extends Base { constructor(message) { super(message); } };
      globalThis[name].captureStackTrace = undefined;
    }`,
  'Symbol.asyncDispose': 'delete Symbol.asyncDispose; delete Symbol.dispose',
  'WeakRef and FinalizationRegistry':
    'delete globalThis.WeakRef; delete globalThis.FinalizationRegistry',
  queueMicrotask: 'delete globalThis.queueMicrotask',
  TextDecoder: 'delete globalThis.TextDecoder',
  ReadableStream: 'delete globalThis.ReadableStream',
  WritableStream: 'delete globalThis.WritableStream',
  DOMException: 'delete globalThis.DOMException',
  'EventTarget and Event': 'delete globalThis.EventTarget; delete globalThis.Event',
  MessageChannel: 'delete globalThis.MessageChannel',
};

/** What Hermes (React Native), Safari 15 or Chrome 100 lacks. */
export const LACKED: readonly string[] = Object.keys(REMOVALS);

/** What a page of today has beside the globals of React Native. */
const MODERN = {
  structuredClone,
  crypto,
  AbortSignal,
  queueMicrotask,
  TextDecoder,
  ReadableStream,
  WritableStream,
  DOMException,
  EventTarget,
  Event,
  MessageChannel,
};

/** Runs the bundled program of rooms.mjs without these globals. Its promise rejects when the program fails. */
export async function runRooms(
  text: string,
  url: string,
  lacked: readonly string[],
): Promise<void> {
  const removals = lacked.map((name) => `{ ${REMOVALS[name]!}\n}`).join('\n');
  // Each run has rooms of its own.
  const name = lacked.length === 1 ? lacked[0]!.replaceAll(/\W/g, '') : `${lacked.length} removed`;
  await inReactNative(`${removals}\n${text}`, url, { ...MODERN, lacked: name });
}
