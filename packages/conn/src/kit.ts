import { type Role, type SlabSource, sharedSlabPool } from '@ws/codec';
import { slabsOf } from './buffer-pool.ts';
import { FreeList } from './free-list.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Host } from './host.ts';
import { Intake } from './intake.ts';
import type { Settings } from './options.ts';
import { Outbox } from './outbox.ts';
import { Reading } from './reading.ts';
import { type Timers, timersOf } from './timers.ts';
import { type Turns, turnsOf } from './turns.ts';
import { Writing } from './writing.ts';

/**
 * What connections of one kind have in common: the same role, host and settings, compressed or not. And the machines
 * that one of them takes when there is work, and leaves to the others when it is idle: its reading side and its writing
 * side. A machine that is left holds nothing of the connection; what must outlast that stands in its Session.
 */
export class Kit {
  readonly role: Role;
  readonly host: Host;
  readonly settings: Settings;
  readonly timers: Timers;
  readonly turns: Turns;
  readonly heartbeat: Heartbeat | undefined;
  readonly readings: FreeList<Reading> = new FreeList();
  readonly writings: FreeList<Writing> = new FreeList();
  readonly #slabs: SlabSource;
  readonly #deflates: boolean;

  constructor(role: Role, host: Host, settings: Settings, deflates: boolean) {
    const { heartbeat, writeBufferPool, writeBufferSize } = settings;
    this.role = role;
    this.host = host;
    this.settings = settings;
    this.timers = timersOf(host);
    this.turns = turnsOf(host);
    this.heartbeat = heartbeat === false ? undefined : new Heartbeat(this.timers, heartbeat);
    this.#deflates = deflates;
    this.#slabs =
      writeBufferPool === undefined ? sharedSlabPool() : slabsOf(writeBufferPool, writeBufferSize);
  }

  takeReading(): Reading {
    return this.readings.take() ?? this.#makeReading();
  }

  takeWriting(): Writing {
    return this.writings.take() ?? this.#makeWriting();
  }

  #makeReading(): Reading {
    const { role, host, settings } = this;
    const intake = new Intake(role, settings, host, this.#deflates);
    return new Reading(intake, host, settings.readAhead);
  }

  #makeWriting(): Writing {
    const { role, host, settings } = this;
    const outbox = new Outbox(role, host, settings, this.#slabs);
    return new Writing(outbox, host, this.#slabs, settings.writeBufferSize, role === 'client');
  }
}

interface Kits {
  plain: Kit | undefined;
  deflating: Kit | undefined;
}

const kits = new WeakMap<Host, WeakMap<Settings, Kits>>();

/** The one {@link Kit} for connections like this. Settings belong to one role. */
export function kitFor(role: Role, host: Host, settings: Settings, deflates: boolean): Kit {
  let ofHost = kits.get(host);
  if (ofHost === undefined) {
    ofHost = new WeakMap();
    kits.set(host, ofHost);
  }
  let both = ofHost.get(settings);
  if (both === undefined) {
    both = { plain: undefined, deflating: undefined };
    ofHost.set(settings, both);
  }
  if (deflates) return (both.deflating ??= new Kit(role, host, settings, true));
  return (both.plain ??= new Kit(role, host, settings, false));
}
