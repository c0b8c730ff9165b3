import type { EventEmitter } from 'node:events';
import type { Connection } from './connection.ts';

/** A listener of `addEventListener`. */
export type EventHandler = ((event: never) => void) | { handleEvent(event: never): void };

type Listener = (...args: unknown[]) => void;

/** The listener of the emitter, with the handler that the application has given. */
interface Wrapper extends Listener {
  handler?: EventHandler;
  /** It was set by `onmessage` and its siblings. */
  isAttribute?: boolean;
}

type Values = Readonly<Record<string, unknown>>;

/** What an event says. A symbol: an event has no enumerable fields, so it prints as `{}` in JSON. */
const VALUES = Symbol('values');

/** The event of a listener of `addEventListener`. */
class Event {
  readonly [VALUES]: Values;

  constructor(values: Values) {
    this[VALUES] = values;
  }
}
class CloseEvent extends Event {}
class ErrorEvent extends Event {}
class MessageEvent extends Event {}

defineValues(Event, ['target', 'type']);
defineValues(CloseEvent, ['code', 'reason', 'wasClean']);
defineValues(ErrorEvent, ['error', 'message']);
defineValues(MessageEvent, ['data']);

/** Creates the event from the arguments of the emitter's event. */
const makers: Readonly<Record<string, (target: Connection, ...args: never[]) => Event>> = {
  open: (target) => new Event({ target, type: 'open' }),
  error: (target, error: Error) =>
    new ErrorEvent({ target, type: 'error', error, message: error.message }),
  close: (target, code: number, reason: Buffer) => {
    const wasClean = target._closeFrameReceived && target._closeFrameSent;
    return new CloseEvent({ target, type: 'close', code, reason: reason.toString(), wasClean });
  },
  message: (target, data: Buffer, isBinary: boolean) =>
    new MessageEvent({ target, type: 'message', data: isBinary ? data : data.toString() }),
};

/** Adds a handler, once only. Types other than these four are ignored. */
export function addHandler(
  target: Connection,
  type: string,
  handler: EventHandler,
  once: boolean,
  isAttribute = false,
): void {
  const make = Object.hasOwn(makers, type) ? makers[type] : undefined;
  if (make === undefined) return;
  if (!isAttribute && wrappersOf(target, type).some((other) => isSame(other, handler))) return;
  const wrapper: Wrapper = (...args) => call(target, handler, make(target, ...(args as never[])));
  wrapper.handler = handler;
  wrapper.isAttribute = isAttribute;
  if (once) target.once(type, wrapper);
  else target.on(type, wrapper);
}

export function removeHandler(target: EventEmitter, type: string, handler: EventHandler): void {
  const found = wrappersOf(target, type).find((wrapper) => isSame(wrapper, handler));
  if (found !== undefined) target.removeListener(type, found);
}

/** Defines `onopen` and its siblings. Anything but a function removes the old value. */
export function defineAttributes(prototype: Connection): void {
  for (const type of Object.keys(makers)) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      get(this: Connection) {
        return attribute(this, type)?.handler ?? null;
      },
      set(this: Connection, handler: unknown) {
        const before = attribute(this, type);
        if (before !== undefined) this.removeListener(type, before);
        if (typeof handler === 'function') addHandler(this, type, handler as Listener, false, true);
      },
    });
  }
}

function defineValues(event: typeof Event, names: readonly string[]): void {
  for (const name of names) {
    Object.defineProperty(event.prototype, name, {
      enumerable: true,
      get(this: Event) {
        return this[VALUES][name];
      },
    });
  }
}

function attribute(target: EventEmitter, type: string): Wrapper | undefined {
  return wrappersOf(target, type).find((wrapper) => wrapper.isAttribute === true);
}

/** `listeners` returns the function that was given to `once`. */
function wrappersOf(target: EventEmitter, type: string): Wrapper[] {
  return target.listeners(type) as Wrapper[];
}

function isSame(wrapper: Wrapper, handler: EventHandler): boolean {
  return wrapper.handler === handler && wrapper.isAttribute !== true;
}

function call(target: Connection, handler: EventHandler, event: Event): void {
  if (typeof handler === 'function') handler.call(target, event as never);
  else handler.handleEvent(event as never);
}
